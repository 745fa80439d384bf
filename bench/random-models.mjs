// Hugging Face folders with small random weights in bfloat16, in bench/peers/models: written when they are first asked
// for, and kept.
import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import * as path from 'node:path';

export const FOLDER = path.join(import.meta.dirname, 'peers', 'models');

/** Shapes that rows are measured on; peers build theirs from the same. */
export const MODELS = {
  'llama-110M': { family: 'llama', width: 768, layers: 12, heads: 12, kvHeads: 12, inner: 2048, vocabulary: 32000 },
  'llama-1.1B': { family: 'llama', width: 2048, layers: 22, heads: 32, kvHeads: 4, inner: 5632, vocabulary: 32000 },
  'gpt2-124M': { family: 'gpt2', width: 768, layers: 12, heads: 12, inner: 3072, vocabulary: 50257 },
  'bert-base': { family: 'bert', width: 768, layers: 12, heads: 12, inner: 3072, vocabulary: 30522 },
};
export const CONTEXT = 2048;
/** Tokens that a decode stands behind. */
export const PROMPT = 128;

/** Ids of a prompt. */
export const idsOf = ({ vocabulary }, length) => Array.from({ length }, (_, i) => (i * 31) % vocabulary);

/** Weights that a decoding step reads: those of the layers and the head. */
export function weightsOfStep({ family, width, layers, heads, kvHeads = heads, inner, vocabulary }) {
  const attention = 2 * width * width + (2 * width * width * kvHeads) / heads;
  return layers * (attention + (family === 'llama' ? 3 : 2) * width * inner) + width * vocabulary;
}

/** Operations of the matrix products of a prompt, with logits for its last token, or none. */
export function flopsOfPrompt(model, tokens) {
  const { family, width, layers, vocabulary } = model;
  const head = width * vocabulary;
  const pairs = family === 'bert' ? tokens * tokens : (tokens * tokens) / 2;
  const products = tokens * (weightsOfStep(model) - head) + (family === 'bert' ? 0 : head);
  return 2 * products + 4 * layers * width * pairs;
}

const FAMILIES = {
  llama({ width, layers, heads, kvHeads, inner, vocabulary }) {
    const kvWidth = (width / heads) * kvHeads;
    const shapes = [
      ['model.embed_tokens.weight', [vocabulary, width]],
      ['model.norm.weight', [width]],
      ['lm_head.weight', [vocabulary, width]],
    ];
    for (let layer = 0; layer < layers; ++layer) {
      const part = (name, shape) => shapes.push([`model.layers.${layer}.${name}.weight`, shape]);
      part('input_layernorm', [width]);
      part('self_attn.q_proj', [width, width]);
      part('self_attn.k_proj', [kvWidth, width]);
      part('self_attn.v_proj', [kvWidth, width]);
      part('self_attn.o_proj', [width, width]);
      part('post_attention_layernorm', [width]);
      part('mlp.gate_proj', [inner, width]);
      part('mlp.up_proj', [inner, width]);
      part('mlp.down_proj', [width, inner]);
    }
    const config = {
      architectures: ['LlamaForCausalLM'],
      hidden_size: width,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      intermediate_size: inner,
      vocab_size: vocabulary,
      max_position_embeddings: CONTEXT,
      rms_norm_eps: 1e-5,
      hidden_act: 'silu',
      tie_word_embeddings: false,
    };
    return { shapes, config };
  },

  gpt2({ width, layers, heads, inner, vocabulary }) {
    const shapes = [
      ['wte.weight', [vocabulary, width]],
      ['wpe.weight', [CONTEXT, width]],
    ];
    for (let layer = 0; layer < layers; ++layer) {
      shapes.push(...norm(`h.${layer}.ln_1`, width), ...norm(`h.${layer}.ln_2`, width));
      shapes.push(...dense(`h.${layer}.attn.c_attn`, [width, 3 * width], 3 * width));
      shapes.push(...dense(`h.${layer}.attn.c_proj`, [width, width], width));
      shapes.push(...dense(`h.${layer}.mlp.c_fc`, [width, inner], inner));
      shapes.push(...dense(`h.${layer}.mlp.c_proj`, [inner, width], width));
    }
    shapes.push(...norm('ln_f', width));
    const config = {
      architectures: ['GPT2LMHeadModel'],
      n_embd: width,
      n_layer: layers,
      n_head: heads,
      n_positions: CONTEXT,
      vocab_size: vocabulary,
    };
    return { shapes, config };
  },

  bert({ width, layers, heads, inner, vocabulary }) {
    const shapes = [
      ['embeddings.word_embeddings.weight', [vocabulary, width]],
      ['embeddings.token_type_embeddings.weight', [2, width]],
      ['embeddings.position_embeddings.weight', [512, width]],
      ...norm('embeddings.LayerNorm', width),
      ...dense('pooler.dense', [width, width], width),
    ];
    for (let layer = 0; layer < layers; ++layer) {
      const place = `encoder.layer.${layer}`;
      for (const part of ['self.query', 'self.key', 'self.value', 'output.dense']) {
        shapes.push(...dense(`${place}.attention.${part}`, [width, width], width));
      }
      shapes.push(...norm(`${place}.attention.output.LayerNorm`, width));
      shapes.push(...dense(`${place}.intermediate.dense`, [inner, width], inner));
      shapes.push(...dense(`${place}.output.dense`, [width, inner], width));
      shapes.push(...norm(`${place}.output.LayerNorm`, width));
    }
    const config = {
      architectures: ['BertModel'],
      hidden_size: width,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      intermediate_size: inner,
      vocab_size: vocabulary,
      max_position_embeddings: 512,
    };
    return { shapes, config };
  },
};

const norm = (name, width) => [
  [`${name}.weight`, [width]],
  [`${name}.bias`, [width]],
];
const dense = (name, shape, outputs) => [
  [`${name}.weight`, shape],
  [`${name}.bias`, [outputs]],
];

/** The same numbers over and over, ± 0.008 … 0.03: many more than a cache line would show, few enough to be made fast. */
function noise() {
  const values = new Uint16Array(1 << 20);
  let state = 1;
  for (let i = 0; i < values.length; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = 0x3c00 | ((state >>> 16) & 0x80ff);
  }
  return Buffer.from(values.buffer);
}

/** `make(partFile)` writes what `file` is to hold. A file that is there is whole. */
export function writeOnce(file, make) {
  if (existsSync(file)) return file;
  mkdirSync(path.dirname(file), { recursive: true });
  make(`${file}.part`);
  renameSync(`${file}.part`, file);
  return file;
}

/** Writes `bytes` of `values`, again from their start wherever they end. */
export function writeRepeated(descriptor, values, bytes) {
  for (let left = bytes; left > 0; left -= values.length) {
    writeSync(descriptor, values, 0, Math.min(left, values.length));
  }
}

/** The folder of the model `name`. */
export function modelFolder(name) {
  const folder = path.join(FOLDER, name);
  writeOnce(path.join(folder, 'model.safetensors'), (file) => {
    const { shapes, config } = FAMILIES[MODELS[name].family](MODELS[name]);
    let end = 0;
    const header = Object.fromEntries(
      shapes.map(([tensor, shape]) => {
        const begin = end;
        end += 2 * shape.reduce((product, size) => product * size, 1);
        return [tensor, { dtype: 'BF16', shape, data_offsets: [begin, end] }];
      }),
    );
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const descriptor = openSync(file, 'w');
    for (const part of [length, json]) writeSync(descriptor, part);
    writeRepeated(descriptor, noise(), end);
    closeSync(descriptor);
  });
  return folder;
}
