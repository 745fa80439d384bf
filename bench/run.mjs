// npm run bench [-- models ops attention]: what a decoding step costs beyond its kernels, and how fast the kernels are.
// One JSON object a line on standard output; medians, since machines are noisy.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { attention, devices, layerNorm, linear, loadModel, mask, packWeight, scope, sync, tensor } from 'heddle';
import { benchAttention } from './attention.mjs';
import { writeRandomGpt2 } from '../build/test/support/random-gpt2.js';

const { native } = createRequire(import.meta.url)('../dist/native.js');

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const report = (row) => console.log(JSON.stringify(row));

/** Median milliseconds of `body`, which returns a promise or queues work. */
async function time(body, runs = 15) {
  const times = [];
  for (let run = -2; run < runs; ++run) {
    const began = performance.now();
    await body();
    await sync();
    if (run >= 0) times.push(performance.now() - began);
  }
  return median(times);
}

/** The decoding loop: wall time of a step, time in its kernels, and what is left. */
async function loop(name, model, prompt, maxNewTokens) {
  const rows = [];
  for (let run = 0; run < 15; ++run) {
    let steps = 0;
    let began = 0;
    let kernels = 0;
    native.setProfiling(true, -1);
    for await (const piece of model.stream(prompt, { maxNewTokens, doSample: false, eosTokenId: null })) {
      if (began === 0) {
        began = performance.now(); // from the first token on: the prompt is not a step
        kernels = native.kernelNs(-1);
      } else {
        steps += piece.tokens.length;
      }
    }
    const wall = (performance.now() - began) * 1000;
    rows.push({ wall: wall / steps, kernels: (native.kernelNs(-1) - kernels) / 1000 / steps });
    native.setProfiling(false, -1);
  }
  const wall = median(rows.map((row) => row.wall));
  const beyond = median(rows.map((row) => row.wall - row.kernels));
  const { dtype } = model;
  report({
    bench: 'decode',
    model: name,
    dtype,
    us_per_step: wall,
    us_beyond_kernels: beyond,
    tokens_per_s: 1e6 / wall,
  });
}

/** The random GPT-2 of 124M parameters in one dtype. */
async function large(folder, dtype) {
  const name = 'gpt2-124M';
  const began = performance.now();
  const model = await loadModel(folder, { dtype });
  report({ bench: 'load', model: name, dtype, ms: performance.now() - began });
  for (const length of [128, 512, 2048]) {
    const ids = Array.from({ length }, (_, i) => (i * 31) % 50257);
    const one = async () => {
      await model.generate(length < 2048 ? ids : ids.slice(1), { maxNewTokens: 1, eosTokenId: null });
    };
    const ms = await time(one, length > 512 ? 3 : 5);
    report({ bench: 'prefill', model: name, dtype, tokens: length, ms, tokens_per_s: (length / ms) * 1000 });
  }
  const prompt = Array.from({ length: 128 }, (_, i) => i);
  await loop(name, model, prompt, 32);
  await model.dispose();
}

async function models() {
  const builtin = await loadModel('builtin:shakespeare');
  await loop('shakespeare', builtin, 'ROMEO:\n', 240);
  await builtin.dispose();
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-bench-'));
  try {
    writeRandomGpt2(folder, { width: 768, layers: 12, heads: 12, context: 2048, vocabulary: 50257 });
    for (const dtype of ['float32', 'bfloat16', 'float16']) await large(folder, dtype);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function ops() {
  const random = (shape) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.random() * 2 - 1);
    return tensor(values, shape);
  };
  for (const [m, k, n] of [
    [1, 768, 3072],
    [16, 768, 3072],
    [128, 768, 3072],
    [512, 3072, 768],
    [512, 4096, 4096],
  ]) {
    const [x, weight] = [random([m, k]), packWeight(random([n, k]))];
    const ms = await time(() => scope(() => void linear(x, weight)));
    report({
      bench: 'linear',
      m,
      k,
      n,
      us: ms * 1000,
      gflops: (2 * m * k * n) / ms / 1e6,
      weights_gb_per_s: (4 * k * n) / ms / 1e6,
    });
  }
  for (const [heads, length, width] of [
    [12, 128, 64],
    [12, 512, 64],
    [12, 2048, 64],
    [32, 512, 128],
  ]) {
    const q = random([1, heads, length, width]);
    for (const causal of [false, true]) {
      const ms = await time(() => scope(() => void attention(q, q, q, causal ? { mask: mask.causal() } : {})));
      const flops = (4 * heads * length * length * width) / (causal ? 2 : 1);
      report({ bench: 'attention', heads, length, width, causal, ms, gflops: flops / ms / 1e6 });
    }
  }
  for (const [rows, width] of [
    [128, 768],
    [2048, 768],
    [128, 4096],
    [2048, 4096],
  ]) {
    const [x, weight] = [random([rows, width]), random([width])];
    const ms = await time(() => scope(() => void layerNorm(x, { weight, bias: weight })));
    report({ bench: 'layerNorm', rows, width, us: ms * 1000, gb_per_s: (8 * rows * width) / ms / 1e6 });
  }
}

const parts = { models, ops, attention: () => benchAttention(report) };
const wanted = process.argv.slice(2);
for (const name of wanted) if (!(name in parts)) throw new RangeError(`there are ${Object.keys(parts).join(', ')}`);
for (const device of devices()) report(device);
for (const [name, run] of Object.entries(parts)) if (wanted.length === 0 || wanted.includes(name)) await run();
