// heddle as an engine of bench/child.mjs: ops, and by bench/heddle-models.mjs models.
import {
  argmax,
  attention,
  cast,
  embedding,
  gated,
  gelu,
  layerNorm,
  linear,
  mask,
  memory,
  packWeight,
  rmsNorm,
  rope,
  sample,
  scope,
  softmax,
  sync,
  tensor,
} from 'heddle';
import { MODEL_TASKS } from './heddle-models.mjs';

const random = (shape, dtype = 'float32') =>
  scope(() => {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: size }, () => Math.random() * 2 - 1);
    return dtype === 'float32' ? tensor(values, shape) : cast(tensor(values, shape), dtype);
  });

/** A task that calls `call(i)`, over operands that it disposes of. */
function queued(operands, call, others = {}) {
  let next = 0;
  return {
    async run(count) {
      for (let i = 0; i < count; ++i) scope(() => void call(next++));
      await sync();
    },
    close() {
      for (const operand of operands) operand.dispose();
    },
    ...others,
  };
}

const MASKS = {
  dense: () => undefined,
  causal: () => mask.causal(),
  window: (size) => mask.slidingWindow(size),
  // Beltagy et al., 2020: as many keys to each side, and tokens that see all.
  longformer: (size) =>
    mask.slidingWindow(size / 2, size / 2).or(mask.globalTokens(Array.from({ length: 8 }, (_, i) => i))),
};

/** Tiles of a head that are computed. */
async function tilesOf(own, length) {
  if (own === undefined) return (length / 64) ** 2;
  const { tiles } = await own.describe({ queries: length, keys: length });
  return tiles.all + tiles.mixed;
}

/** Ops of x [rows, width]: what they take besides, and their call, which is given another such x, too. */
const STREAMED = {
  layerNorm({ width }) {
    const [weight, bias] = [random([width]), random([width])];
    return { operands: [weight, bias], call: (x) => layerNorm(x, { weight, bias }) };
  },
  rmsNorm({ width }) {
    const weight = random([width]);
    return { operands: [weight], call: (x) => rmsNorm(x, { weight }) };
  },
  softmax: () => ({ call: (x) => softmax(x) }),
  gelu: () => ({ call: (x) => gelu(x) }),
  gated: () => ({ call: (x, other) => gated(x, other) }),
  rope({ rows, width }) {
    const HEAD = 64;
    const positions = tensor(Int32Array.from({ length: rows }, (_, i) => i));
    const frequencies = tensor(Float32Array.from({ length: HEAD / 2 }, (_, i) => 10000 ** ((-2 * i) / HEAD)));
    const call = (x) => rope(x.reshape([rows, width / HEAD, HEAD]), positions, frequencies);
    return { operands: [positions, frequencies], call };
  },
  argmax: () => ({ call: (x) => argmax(x) }),
  sample: ({ options }) => ({ call: (x) => sample(x, options) }),
};

/** Over `sets` inputs in turn. */
function streamed({ rows, width, sets }, { operands = [], call }) {
  const inputs = Array.from({ length: sets }, () => random([rows, width]));
  return queued([...inputs, ...operands], (i) => call(inputs[i % sets], inputs[(i + 1) % sets]));
}

const TASKS = {
  /** By `sets` weights in turn. */
  linear({ m, k, n, sets, dtype }) {
    const x = random([m, k], dtype);
    const weights = Array.from({ length: sets }, () => scope(() => packWeight(random([n, k], dtype))));
    return queued([x, ...weights], (i) => linear(x, weights[i % sets]));
  },

  async attention({ heads, length, width, mask: kind, window, dtype }) {
    const operands = [0, 1, 2].map(() => random([1, heads, length, width], dtype));
    const [q, k, v] = operands;
    const options = { mask: MASKS[kind](window) };
    await sync();
    const before = memory().used;
    scope(() => void attention(q, k, v, options));
    await sync();
    const besideMb = (memory().peak - before) / 1e6;
    const facts = { besideMb, tiles: heads * (await tilesOf(options.mask, length)) };
    return queued(operands, () => attention(q, k, v, options), { facts });
  },

  embedding({ tokens, vocabulary, width }) {
    const table = random([vocabulary, width]);
    const ids = Array.from({ length: 16 }, () =>
      tensor(Int32Array.from({ length: tokens }, () => Math.floor(Math.random() * vocabulary))),
    );
    return queued([table, ...ids], (i) => embedding(table, ids[i % ids.length]));
  },

  ...Object.fromEntries(Object.entries(STREAMED).map(([kind, make]) => [kind, (task) => streamed(task, make(task))])),
  ...MODEL_TASKS,
};

export const open = (task) => TASKS[task.kind](task);
