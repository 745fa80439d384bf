// npm run bench -- attention: what patterns cost, by length, on one thread. Patterns take turns, so that they see the
// same machine; times are processor time, the best of the runs, which others disturb least.
import { attention, mask, memory, scope, setNumThreads, sync, tensor } from 'heddle';

const [HEADS, WIDTH, RUNS] = [4, 64, 15];
const globals = Array.from({ length: 8 }, (_, i) => i);
const patterns = {
  'sliding window 256': { mask: mask.slidingWindow(256) },
  'window 256 + 8 global': { mask: mask.slidingWindow(128, 128).or(mask.globalTokens(globals)) },
  causal: { mask: mask.causal() },
  dense: {},
};
const longest = { causal: 4096, dense: 4096 };

/** 64 × 64 tiles that are computed. */
async function tilesOf(options, length) {
  if (!options.mask) return (length / 64) ** 2;
  const { tiles } = await options.mask.describe({ queries: length, keys: length });
  return tiles.all + tiles.mixed;
}

export async function benchAttention(report) {
  setNumThreads(1);
  for (const length of [512, 1024, 2048, 4096, 8192, 16384]) {
    const values = Float32Array.from({ length: HEADS * length * WIDTH }, () => Math.random() * 2 - 1);
    const q = tensor(values, [1, HEADS, length, WIDTH]);
    const chosen = Object.entries(patterns).filter(([name]) => length <= (longest[name] ?? 16384));
    const times = Object.fromEntries(chosen.map(([name]) => [name, Infinity]));
    const extra = {};
    for (let run = -1; run < RUNS; ++run) {
      for (const [name, options] of chosen) {
        const before = memory().used;
        const began = process.cpuUsage();
        scope(() => void attention(q, q, q, options));
        await sync();
        const { user, system } = process.cpuUsage(began);
        if (run >= 0) times[name] = Math.min(times[name], (user + system) / 1000);
        extra[name] = memory().peak - before;
      }
    }
    for (const [name, options] of chosen) {
      const tiles = (await tilesOf(options, length)) * HEADS;
      report({
        bench: 'attention pattern',
        pattern: name,
        length,
        ms: times[name],
        us_per_tile: (times[name] * 1000) / tiles,
        of_dense: times.dense ? times[name] / times.dense : undefined,
        peak_mb_of_all: extra[name] / 1e6,
      });
    }
    q.dispose();
  }
}
