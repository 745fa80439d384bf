// onnxruntime-node as an engine of bench/child.mjs.
import * as path from 'node:path';
import * as ort from 'onnxruntime-node';
import { FOLDER, idsOf, MODELS, PROMPT, writeOnce } from '../random-models.mjs';
import { stopwatch } from '../stopwatch.mjs';
import { ATTENTION_FORMS, writeAttention, writeOnnxModel } from './onnx-models.mjs';

const session = (file, threads) =>
  ort.InferenceSession.create(file, { intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ['cpu'] });

const int64 = (values, shape) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), shape);
const int32 = (values, shape) => new ort.Tensor('int32', Int32Array.from(values), shape);
const random = (shape) => {
  const length = shape.reduce((product, size) => product * size, 1);
  return new ort.Tensor(
    'float32',
    Float32Array.from({ length }, () => Math.random() * 2 - 1),
    shape,
  );
};
const empty = (shape) => new ort.Tensor('float32', new Float32Array(0), shape);

export const modelFile = (model, quantize) =>
  writeOnce(path.join(FOLDER, `${model}-onnx`, 'onnx', quantize ? 'model_quantized.onnx' : 'model.onnx'), (file) =>
    writeOnnxModel(file, MODELS[model], quantize),
  );

/** One call after another, of the same inputs. */
const repeated = (model, inputs) => ({
  async run(count) {
    for (let i = 0; i < count; ++i) await model.run(inputs);
  },
  close: () => model.release(),
});

/** A decoder with its cache: its outputs go in again. */
class Decoder {
  #session;
  #model;

  constructor(opened, model) {
    this.#session = opened;
    this.#model = model;
  }

  /** `ids` behind `length` others, whose keys and values `past` holds. */
  step(ids, past, length) {
    const { layers, width, heads, kvHeads = heads } = this.#model;
    const total = length + ids.length;
    const inputs = {
      input_ids: int64(ids, [1, ids.length]),
      attention_mask: int64(new Array(total).fill(1), [1, total]),
      position_ids: int64(
        Array.from(ids, (_, i) => length + i),
        [1, ids.length],
      ),
    };
    for (let layer = 0; layer < layers; ++layer) {
      for (const kind of ['key', 'value']) {
        const name = `past_key_values.${layer}.${kind}`;
        inputs[name] = past?.[`present.${layer}.${kind}`] ?? empty([1, kvHeads, 0, width / heads]);
      }
    }
    return this.#session.run(inputs);
  }

  /** Greedy, as others decode here. */
  async decode(prompt, tokens) {
    let outputs = await this.step(prompt, undefined, 0);
    const elapsed = stopwatch();
    for (let i = 0; i < tokens; ++i) {
      const logits = outputs.logits.data;
      let best = 0;
      for (let id = 1; id < logits.length; ++id) if (logits[id] > logits[best]) best = id;
      outputs = await this.step([best], outputs, prompt.length + i);
    }
    return elapsed(tokens);
  }

  release() {
    return this.#session.release();
  }
}

async function decoder({ model, quantize, threads }) {
  return new Decoder(await session(modelFile(model, quantize), threads), MODELS[model]);
}

const TASKS = {
  async attention(task) {
    const { form, heads, width, length, mask, threads } = task;
    const file = path.join(FOLDER, 'attention-onnx', `${form}-${mask}-${heads}x${width}.onnx`);
    writeOnce(file, (part) => writeAttention(part, form, task));
    const { flat } = ATTENTION_FORMS[form];
    const shape = flat ? [1, length, heads * width] : [1, heads, length, width];
    const inputs = { q: random(shape), k: random(shape), v: random(shape) };
    if (form === 'naive' && mask === 'causal') {
      const values = Float32Array.from({ length: length * length }, (_, i) =>
        i % length > Math.floor(i / length) ? -1e9 : 0,
      );
      inputs.mask = new ort.Tensor('float32', values, [length, length]);
    }
    if (form === 'GroupQueryAttention') {
      const past = empty([1, heads, 0, width]);
      Object.assign(inputs, { past_k: past, past_v: past, last: int32([length - 1], [1]), total: int32([length], []) });
    }
    return repeated(await session(file, threads), inputs);
  },

  async prefill(task) {
    const model = await decoder(task);
    const ids = idsOf(MODELS[task.model], task.tokens);
    return { run: async () => void (await model.step(ids, undefined, 0)), close: () => model.release() };
  },

  async decode(task) {
    const model = await decoder(task);
    const prompt = idsOf(MODELS[task.model], PROMPT);
    return { run: () => model.decode(prompt, task.tokens), close: () => model.release() };
  },

  async encode({ model, quantize, tokens, threads }) {
    const shape = [1, tokens];
    const inputs = {
      input_ids: int64(idsOf(MODELS[model], tokens), shape),
      attention_mask: int64(new Array(tokens).fill(1), shape),
      token_type_ids: int64(new Array(tokens).fill(0), shape),
    };
    return repeated(await session(modelFile(model, quantize), threads), inputs);
  },
};

export const open = (task) => TASKS[task.kind](task);
