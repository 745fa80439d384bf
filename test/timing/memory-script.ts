import * as path from 'node:path';
import { loadModel, memory } from 'heddle';

// Loads, generates and disposes of a tiny model, over and over. Prints resident memory early and late, as JSON.

const CYCLES = 1300;
const WARM_UP = 300; // code is compiled, heaps find their size

const folder = process.env.HEDDLE_FIXTURES ?? path.resolve('test/fixtures');

/** Lowest of a few readings: what garbage there is comes and goes. */
function resident(): number {
  const readings = Array.from({ length: 3 }, () => {
    (globalThis as { gc?: () => void }).gc?.();
    return process.memoryUsage.rss();
  });
  return Math.min(...readings);
}

async function main(): Promise<void> {
  let early = 0;
  for (let cycle = 1; cycle <= CYCLES; ++cycle) {
    const model = await loadModel(path.join(folder, 'models/gpt2'));
    await model.generate([1, 2, 3], { maxNewTokens: 8, eosTokenId: null });
    await model.dispose();
    if (cycle === WARM_UP) early = resident();
  }
  console.log(JSON.stringify({ early, late: resident(), live: memory().live }));
}

void main();
