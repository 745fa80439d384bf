import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { loadModel, memory } from 'heddle';
import { writeRandomGpt2 } from '../support/random-gpt2';

// Loads, generates and disposes of a tiny model, over and over. Prints resident memory early and late, as JSON.

const CYCLES = 2000;
const WARM_UP = 1000; // code is compiled, heaps find their size

/** Lowest of a few readings: what garbage there is comes and goes. */
function resident(): number {
  const readings = Array.from({ length: 3 }, () => {
    (globalThis as { gc?: () => void }).gc?.();
    return process.memoryUsage.rss();
  });
  return Math.min(...readings);
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-memory-'));
  writeRandomGpt2(folder, { width: 48, layers: 2, heads: 3, context: 64, vocabulary: 101 });
  let early = 0;
  for (let cycle = 1; cycle <= CYCLES; ++cycle) {
    const model = await loadModel(folder);
    await model.generate([1, 2, 3], { maxNewTokens: 8, eosTokenId: null });
    await model.dispose();
    if (cycle === WARM_UP) early = resident();
  }
  rmSync(folder, { recursive: true });
  console.log(JSON.stringify({ early, late: resident(), live: memory().live }));
}

void main();
