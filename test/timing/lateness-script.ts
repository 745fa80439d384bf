import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Worker } from 'node:worker_threads';
import { devices, loadModel } from 'heddle';
import { writeRandomGpt2 } from '../support/random-gpt2';

// How late a timer of 5 ms is: beside as many plain busy threads as heddle uses, beside generation, beside a prefill
// of 2,048 tokens. Prints p99 in milliseconds as JSON.

const PERIOD_MS = 5;
const ROUNDS = 5;
const ROUND_MS = 1200;

/** Lateness of timers while `work` runs. */
async function lateness(work: () => Promise<unknown>): Promise<number[]> {
  const late: number[] = [];
  let running = true;
  const watch = (async () => {
    while (running) {
      const due = performance.now() + PERIOD_MS;
      await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
      late.push(performance.now() - due);
    }
  })();
  await work();
  running = false;
  await watch;
  return late;
}

const p99 = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? NaN;
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function busy(ms: number): Promise<void> {
  const threads = devices()[0]?.threads ?? 1;
  const workers = Array.from({ length: threads }, () => new Worker('for (;;);', { eval: true }));
  await sleep(ms);
  await Promise.all(workers.map((worker) => worker.terminate()));
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-lateness-'));
  try {
    const small = await loadModel('builtin:shakespeare');
    const generate = async () => {
      const until = performance.now() + ROUND_MS;
      while (performance.now() < until) await small.generate('ROMEO:\n');
    };
    writeRandomGpt2(folder, { width: 768, layers: 12, heads: 12, context: 2048, vocabulary: 1000 });
    const large = await loadModel(folder);
    const ids = Array.from({ length: 2048 }, (_, i) => i % 1000);
    const prefill = async () => {
      const until = performance.now() + ROUND_MS;
      while (performance.now() < until) {
        const { logits } = large.forward({ ids });
        await logits.slice(1, 0, 1).data();
        logits.dispose();
      }
    };
    // In turn, and the median of rounds: what else the machine does comes and goes.
    const rounds = { threads: [] as number[], generation: [] as number[], prefill: [] as number[] };
    for (let round = 0; round < ROUNDS; ++round) {
      rounds.threads.push(p99(await lateness(() => busy(ROUND_MS))));
      rounds.generation.push(p99(await lateness(generate)));
      rounds.prefill.push(p99(await lateness(prefill)));
    }
    console.log(JSON.stringify(Object.fromEntries(Object.entries(rounds).map(([key, all]) => [key, median(all)]))));
    await large.dispose();
    await small.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

void main();
