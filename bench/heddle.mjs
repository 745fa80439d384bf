// heddle as an engine of bench/child.mjs: ops, and by bench/heddle-models.mjs models.
import { attention, cast, layerNorm, linear, mask, memory, packWeight, scope, sync, tensor } from 'heddle';
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

  /** Over `sets` inputs in turn. */
  layerNorm({ rows, width, sets, dtype }) {
    const inputs = Array.from({ length: sets }, () => random([rows, width], dtype));
    const [weight, bias] = [0, 1].map(() => random([width], dtype));
    return queued([...inputs, weight, bias], (i) => layerNorm(inputs[i % sets], { weight, bias }));
  },

  ...MODEL_TASKS,
};

export const open = (task) => TASKS[task.kind](task);
