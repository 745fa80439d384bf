// The shapes of bench/random-models.mjs as ONNX graphs, in the form that runs fastest: fused attention with a cache,
// logits of the last token alone. int8: signed weights with a scale a column, activations quantized on the way.
import { CONTEXT } from '../random-models.mjs';
import { Graph } from './onnx.mjs';

const EPSILON = { float: 1e-5 };
const LAST = -1;

function linear(g, x, inputs, outputs, { quantize, hasBias = true }) {
  let y;
  if (quantize) {
    const weight = g.random([inputs, outputs], 'int8');
    const [quantized, scale, zero] = g.op('DynamicQuantizeLinear', [x], {}, { outputs: 3 });
    const sum = g.op('MatMulInteger', [quantized, weight, zero, g.constant(0, [], 'int8')]);
    const scales = g.op('Mul', [scale, g.constant(0.0002, [outputs])]);
    y = g.op('Mul', [g.op('Cast', [sum], { to: 1 }), scales]);
  } else {
    y = g.op('MatMul', [x, g.random([inputs, outputs])]);
  }
  return hasBias ? g.op('Add', [y, g.random([outputs])]) : y;
}

const layerNorm = (g, x, width) =>
  g.op('LayerNormalization', [x, g.constant(1, [width]), g.constant(0, [width])], { axis: LAST, epsilon: EPSILON });
const rmsNorm = (g, x, width) =>
  g.op('SimplifiedLayerNormalization', [x, g.constant(1, [width])], { axis: LAST, epsilon: EPSILON });

/** Inputs of a decoder, named as exporters do (@huggingface/transformers reads the names of lengths, too), and what GroupQueryAttention wants to know of lengths. */
function decoderInputs(g, { layers, width, heads, kvHeads = heads }) {
  g.input('input_ids', 'int64', ['batch_size', 'length']);
  g.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  g.input('position_ids', 'int64', ['batch_size', 'length']);
  for (let layer = 0; layer < layers; ++layer) {
    for (const kind of ['key', 'value']) {
      g.input(`past_key_values.${layer}.${kind}`, 'float32', [
        'batch_size',
        kvHeads,
        'past_sequence_length',
        width / heads,
      ]);
      g.output(`present.${layer}.${kind}`, 'float32', ['batch_size', kvHeads, 'total_sequence_length', width / heads]);
    }
  }
  const one = g.constant([1], [1], 'int64');
  const counts = g.op('ReduceSum', ['attention_mask', one], { keepdims: 0 });
  const last = g.op('Cast', [g.op('Sub', [counts, one])], { to: 6 });
  const total = g.op('Gather', [g.op('Shape', ['attention_mask']), g.constant([1], [], 'int64')]);
  return [last, g.op('Cast', [total], { to: 6 })];
}

function cachedAttention(g, layer, [q, k, v], lengths, { heads, kvHeads = heads }, rotary = []) {
  const past = ['key', 'value'].map((kind) => `past_key_values.${layer}.${kind}`);
  const outputs = [`attention.${layer}`, `present.${layer}.key`, `present.${layer}.value`];
  const attributes = { num_heads: heads, kv_num_heads: kvHeads, do_rotary: rotary.length > 0 ? 1 : 0 };
  return g.own('GroupQueryAttention', [q, k, v, ...past, ...lengths, ...rotary], attributes, { outputs })[0];
}

/** [B, 1, V], of the last token. */
function head(g, x, { width, vocabulary }, quantize) {
  const last = g.op('Gather', [x, g.constant([-1], [1], 'int64')], { axis: 1 });
  const logits = linear(g, last, width, vocabulary, { quantize, hasBias: false });
  g.op('Identity', [logits], {}, { outputs: ['logits'] });
  g.output('logits', 'float32', ['batch_size', 1, vocabulary]);
}

function llama(g, model, quantize) {
  const { width, layers, heads, kvHeads, inner, vocabulary } = model;
  const kvWidth = (width / heads) * kvHeads;
  const lengths = decoderInputs(g, model);
  const half = width / heads / 2;
  const angle = (i) => Math.floor(i / half) * 10000 ** (-(i % half) / half);
  const table = (f) =>
    g.constant(
      Float32Array.from({ length: CONTEXT * half }, (_, i) => f(angle(i))),
      [CONTEXT, half],
    );
  const rotary = [table(Math.cos), table(Math.sin)];
  const project = (x, from, to) => linear(g, x, from, to, { quantize, hasBias: false });
  let x = g.op('Gather', [g.random([vocabulary, width]), 'input_ids']);
  for (let layer = 0; layer < layers; ++layer) {
    const h = rmsNorm(g, x, width);
    const qkv = [width, kvWidth, kvWidth].map((to) => project(h, width, to));
    x = g.op('Add', [x, project(cachedAttention(g, layer, qkv, lengths, model, rotary), width, width)]);
    const f = rmsNorm(g, x, width);
    const [gate, up] = [0, 1].map(() => project(f, width, inner));
    const gated = g.op('Mul', [g.op('Mul', [gate, g.op('Sigmoid', [gate])]), up]);
    x = g.op('Add', [x, project(gated, inner, width)]);
  }
  head(g, rmsNorm(g, x, width), model, quantize);
}

function gpt2(g, model, quantize) {
  const { width, layers, inner, vocabulary } = model;
  const lengths = decoderInputs(g, model);
  const project = (x, from, to) => linear(g, x, from, to, { quantize });
  const tokens = g.op('Gather', [g.random([vocabulary, width]), 'input_ids']);
  let x = g.op('Add', [tokens, g.op('Gather', [g.random([CONTEXT, width]), 'position_ids'])]);
  for (let layer = 0; layer < layers; ++layer) {
    const h = layerNorm(g, x, width);
    const qkv = [0, 1, 2].map(() => project(h, width, width));
    x = g.op('Add', [x, project(cachedAttention(g, layer, qkv, lengths, model), width, width)]);
    const up = g.own('FastGelu', [project(layerNorm(g, x, width), width, inner)]);
    x = g.op('Add', [x, project(up, inner, width)]);
  }
  head(g, layerNorm(g, x, width), model, quantize);
}

function bert(g, { width, layers, heads, inner, vocabulary }, quantize) {
  for (const name of ['input_ids', 'attention_mask', 'token_type_ids'])
    g.input(name, 'int64', ['batch_size', 'length']);
  const at = (index) => g.constant([index], [1], 'int64');
  const length = g.op('Slice', [g.op('Shape', ['input_ids']), at(1), at(2)]);
  const positions = g.op('Slice', [g.random([512, width]), at(0), length, at(0)]);
  const tokens = g.op('Gather', [g.random([vocabulary, width]), 'input_ids']);
  const types = g.op('Gather', [g.random([2, width]), 'token_type_ids']);
  const counts = g.op('Cast', [g.op('ReduceSum', ['attention_mask', at(1)], { keepdims: 0 })], { to: 6 });
  const project = (x, from, to) => linear(g, x, from, to, { quantize });
  let x = layerNorm(g, g.op('Add', [g.op('Add', [tokens, types]), positions]), width);
  for (let layer = 0; layer < layers; ++layer) {
    const qkv = [0, 1, 2].map(() => project(x, width, width));
    const attention = g.own('MultiHeadAttention', [...qkv, '', counts], { num_heads: heads });
    x = layerNorm(g, g.op('Add', [project(attention, width, width), x]), width);
    const up = g.own('Gelu', [project(x, width, inner)]);
    x = layerNorm(g, g.op('Add', [project(up, inner, width), x]), width);
  }
  g.op('Identity', [x], {}, { outputs: ['last_hidden_state'] });
  g.output('last_hidden_state', 'float32', ['batch_size', 'length', width]);
}

const FAMILIES = { llama, gpt2, bert };

export function writeOnnxModel(file, model, quantize) {
  const g = new Graph();
  FAMILIES[model.family](g, model, quantize);
  g.save(file);
}

/** Forms of attention that onnxruntime has, over q, k and v; `flat` ones take [B, T, H × D]. */
export const ATTENTION_FORMS = {
  /** As exporters write it out. */
  naive: {
    build(g, { width, mask }) {
      const keys = g.op('Transpose', ['k'], { perm: [0, 1, 3, 2] });
      let scores = g.op('Mul', [g.op('MatMul', ['q', keys]), g.constant(width ** -0.5, [])]);
      if (mask === 'causal') scores = g.op('Add', [scores, g.input('mask', 'float32', ['length', 'length'])]);
      g.op('MatMul', [g.op('Softmax', [scores], { axis: LAST }), 'v'], {}, { outputs: ['y'] });
    },
  },
  /** The standard's own operator. */
  Attention: {
    opset: 23,
    build(g, { mask }) {
      g.op('Attention', ['q', 'k', 'v'], { is_causal: mask === 'causal' ? 1 : 0 }, { outputs: ['y'] });
    },
  },
  MultiHeadAttention: {
    flat: true,
    build(g, { heads, mask }) {
      const attributes = { num_heads: heads, unidirectional: mask === 'causal' ? 1 : 0 };
      g.own('MultiHeadAttention', ['q', 'k', 'v'], attributes, { outputs: ['y'] });
    },
  },
  GroupQueryAttention: {
    flat: true,
    masks: ['causal'],
    build(g, { heads, width }) {
      const past = ['past_k', 'past_v'].map((name) => g.input(name, 'float32', ['batch', heads, 'past', width]));
      const lengths = [g.input('last', 'int32', ['batch']), g.input('total', 'int32', [])];
      const outputs = ['y', 'present_k', 'present_v'];
      for (const name of outputs.slice(1)) g.output(name, 'float32', ['batch', heads, 'total', width]);
      const attributes = { num_heads: heads, kv_num_heads: heads };
      g.own('GroupQueryAttention', ['q', 'k', 'v', ...past, ...lengths], attributes, { outputs });
    },
  },
};

export function writeAttention(file, form, task) {
  const g = new Graph();
  const { flat, build, opset } = ATTENTION_FORMS[form];
  const { heads, width } = task;
  const shape = flat ? ['batch', 'length', heads * width] : ['batch', heads, 'length', width];
  for (const name of ['q', 'k', 'v']) g.input(name, 'float32', shape);
  build(g, task);
  g.output('y', 'float32', shape);
  g.save(file, opset);
}
