import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModel, matmul, tensor, type Tensor } from '#lib/index';
import { SafetensorsFile } from '#lib/weights/safetensors';
import { runScript } from '../support/child';
import { writeRandomGpt2 } from '../support/random-gpt2';

// Threads of a process that load the same weights hold them once.

const folder = mkdtempSync(path.join(tmpdir(), 'heddle-sharing-'));
beforeAll(() => {
  writeRandomGpt2(folder, { width: 512, layers: 4, heads: 8, context: 64, vocabulary: 32_000 });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Loads in a worker and says so; then generates when told, and disposes of the model when told again. */
const WORKER = `
  const heddle = require(process.cwd() + '/dist/index.js');
  const { parentPort, workerData } = require('node:worker_threads');
  const next = () => new Promise((resolve) => parentPort.once('message', resolve));
  (async () => {
    const { folder, dtype } = workerData;
    const model = await heddle.loadModel(folder, { device: 'cpu', dtype });
    parentPort.postMessage('loaded');
    await next();
    const { tokens } = await model.generate([1, 2, 3], { maxNewTokens: 4, doSample: false, eosTokenId: null });
    parentPort.postMessage(tokens.join());
    await next();
    await model.dispose();
    parentPort.postMessage('disposed');
    await next();
  })();`;

test('a second worker takes no memory for the weights; the last one gives it back', () => {
  const script = `
    const { Worker } = require('node:worker_threads');
    const folder = ${JSON.stringify(folder)};
    const megabytes = () => process.memoryUsage().rss / 1e6;
    const ask = (worker, message) => {
      const answer = new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
      if (message) worker.postMessage(message);
      return answer;
    };
    const start = async (dtype) => {
      const worker = new Worker(${JSON.stringify(WORKER)}, { eval: true, execArgv: [], workerData: { folder, dtype } });
      await ask(worker);
      return worker;
    };
    const sizes = [megabytes()];
    const workers = [];
    for (let i = 0; i < 4; ++i) { workers.push(await start('float32')); sizes.push(megabytes()); }
    const half = await start('bfloat16');
    sizes.push(megabytes());
    const answers = [];
    for (const worker of workers) answers.push(await ask(worker, 'generate'));
    // Those that go first leave the others' weights alone.
    await workers[0].terminate();
    for (const worker of [workers[1], workers[2]]) await ask(worker, 'dispose');
    await ask(half, 'generate');
    const last = await start('float32');
    answers.push(await ask(last, 'generate'));
    console.log(JSON.stringify({ sizes, answers }));
    process.exit(0);`;
  const { stdout, stderr, status } = runScript(script, { timeoutMs: 60_000 });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const { sizes, answers } = JSON.parse(stdout) as { sizes: number[]; answers: string[] };
  const [first, second, third, fourth, half] = sizes.slice(1).map((size, i) => size - sizes[i]!);
  const weights = (4 * (32_000 * 512 + 64 * 512 + 4 * 12 * 512 * 512)) / 1e6; // about 116 MB
  expect(first).toBeGreaterThan(0.9 * weights);
  for (const more of [second, third, fourth]) expect(more).toBeLessThan(0.4 * weights);
  expect(half).toBeGreaterThan(0.45 * weights);
  expect(new Set(answers).size).toBe(1);
});

const file = path.join(folder, 'x.safetensors');
const write = (value: number) => {
  const header = Buffer.from(JSON.stringify({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([size, header, Buffer.from(Float32Array.of(value, value).buffer)]));
};
const load = async () => {
  using opened = new SafetensorsFile(file);
  const x = opened.load('x');
  await x.ready();
  return x;
};

test('a file that was written anew is read anew, while the old weights live', async () => {
  write(1);
  using first = await load();
  using again = await load();
  write(2);
  using second = await load();
  expect([...(await first.data()), ...(await again.data()), ...(await second.data())]).toEqual([1, 1, 1, 1, 2, 2]);
});

test('the same, written anew with the old time of modification, as copies have it', async () => {
  const old = new Date('2020-01-01');
  const values: number[][] = [];
  const kept: Tensor[] = [];
  for (const value of [3, 4]) {
    write(value);
    utimesSync(file, old, old);
    await new Promise((resolve) => setTimeout(resolve, 60)); // not fresh any more
    kept.push(await load());
    values.push([...(await kept.at(-1)!.data())]);
  }
  for (const one of kept) one.dispose();
  expect(values).toEqual([
    [3, 3],
    [4, 4],
  ]);
});

test('many loads at once wait for room in the queue', async () => {
  const deep = path.join(folder, 'deep');
  writeRandomGpt2(deep, { width: 8, layers: 40, heads: 2, context: 8, vocabulary: 16 });
  const x = tensor(new Float32Array(2000 * 2000), [2000, 2000], { device: 'cpu' });
  const busy = [matmul(x, x), matmul(x, x)]; // so that nothing is read before all have begun
  const models = await Promise.all(Array.from({ length: 12 }, () => loadModel(deep, { device: 'cpu' })));
  expect(models.map(({ vocabSize }) => vocabSize)).toEqual(models.map(() => 16));
  for (const one of [x, ...busy]) one.dispose();
  await Promise.all(models.map((model) => model.dispose()));
});
