import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Worker } from 'node:worker_threads';
import { loadModel } from '#lib/index';
import { Random } from './random';
import { writeRandomGpt2 } from './random-gpt2';

// For a process of its own: workers that load, generate, abort, fail and end at random, some of them ended in the
// middle of it, while the main thread generates too. Prints resident memory after a third of the rounds and at the end.

const [workers = 8, rounds = 200] = process.argv.slice(2).map(Number);

const SOURCE = `
const heddle = require(process.cwd() + '/dist/index.js');
const { parentPort, workerData: { folder, kind, dtype } } = require('node:worker_threads');
(async () => {
  const controller = new AbortController();
  if (kind === 'abort') setTimeout(() => controller.abort(), 3);
  const model = await heddle.loadModel(folder, { dtype, signal: controller.signal });
  parentPort.postMessage('loaded');
  const options = { maxNewTokens: 40, eosTokenId: null, seed: 1 };
  if (kind === 'throw') { void model.generate([1, 2, 3], options); throw new Error('on purpose'); }
  if (kind === 'exit') { void model.generate([1, 2, 3], options); process.exit(3); }
  if (kind === 'endless') for (;;) await model.generate([[1, 2, 3], [4]], options);
  if (kind === 'leave') { void model.generate([1, 2, 3], options); return; }
  await model.generate([1, 2, 3], { ...options, signal: controller.signal });
  await model.dispose();
})().catch((error) => { if (error.name !== 'AbortError') throw error; });`;

const KINDS = ['plain', 'plain', 'abort', 'throw', 'exit', 'endless', 'endless', 'leave'];

/** One worker's life; what ended it, if that was not foreseen. */
async function round(folder: string, random: Random): Promise<string | undefined> {
  const kind = random.pick(KINDS);
  const dtype = random.pick(['float32', 'bfloat16', 'float16']);
  const worker = new Worker(SOURCE, { eval: true, execArgv: [], workerData: { folder, kind, dtype } });
  let unforeseen: string | undefined;
  worker.on('error', (error) => {
    if (error.message !== 'on purpose') unforeseen = String(error.stack);
  });
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      resolve();
    });
  });
  if (kind === 'endless' || random.next() < 0.4) {
    const delay = random.integer(60);
    if (random.next() < 0.5) await Promise.race([new Promise((resolve) => worker.once('message', resolve)), ended]);
    await new Promise((resolve) => setTimeout(resolve, delay));
    await worker.terminate();
  }
  await ended;
  return unforeseen;
}

function resident(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage.rss();
}

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-workers-'));
  writeRandomGpt2(folder, { width: 96, layers: 3, heads: 3, context: 64, vocabulary: 501 });
  const model = await loadModel(folder);
  const { tokens: expected } = await model.generate([1, 2, 3], { maxNewTokens: 20, eosTokenId: null, seed: 5 });
  const random = new Random(7);
  const problems: string[] = [];
  let early = 0;
  for (let done = 1; done <= rounds; ++done) {
    const lives = Array.from({ length: workers }, () => round(folder, random));
    const { tokens } = await model.generate([1, 2, 3], { maxNewTokens: 20, eosTokenId: null, seed: 5 });
    if (tokens.join() !== expected.join()) problems.push(`round ${done}: other tokens`);
    problems.push(...(await Promise.all(lives)).filter((problem) => problem !== undefined));
    if (done === Math.ceil(rounds / 3)) early = resident();
  }
  await model.dispose();
  rmSync(folder, { recursive: true });
  console.log(JSON.stringify({ lives: workers * rounds, problems: problems.slice(0, 5), early, late: resident() }));
}

void main();
