// What heddle is asked of models: prompts, decoding steps, encoders, and a timer beside the work.
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { loadModel, scope } from 'heddle';
import { idsOf, modelFolder, MODELS, PROMPT } from './random-models.mjs';
import { stopwatch } from './stopwatch.mjs';

const { native } = createRequire(import.meta.url)('../dist/native.js');

const CPU = -1;
const TIMER_MS = 5;
const TIMED_MS = 1500;
const GREEDY = { doSample: false, numBeams: 1, eosTokenId: null };

/** Options that this version does not have are refused, which is what the row says. */
function load({ model, dtype, quantize }) {
  const folder = model in MODELS ? modelFolder(model) : model;
  return loadModel(folder, { device: 'cpu', dtype, ...(quantize && { quantize }) });
}

const idsFor = (model, length) => Int32Array.from(idsOf({ vocabulary: model.vocabSize }, length));

/**
 * Milliseconds of a step, from the first token on: the prompt is none. Profiled, what of it passes outside kernels, and how
 * long JavaScript and the binding keep their thread.
 */
async function decode(model, prompt, tokens, isProfiled) {
  let steps = 0;
  let elapsed;
  let kernelNs;
  let loop;
  if (isProfiled) native.setProfiling(true, CPU);
  for await (const piece of model.stream(prompt, { ...GREEDY, maxNewTokens: tokens })) {
    if (elapsed) {
      steps += piece.tokens.length;
    } else {
      elapsed = stopwatch();
      kernelNs = native.kernelNs(CPU);
      loop = performance.eventLoopUtilization();
    }
  }
  const sample = elapsed(steps);
  if (!isProfiled) return sample;
  const { active } = performance.eventLoopUtilization(loop);
  const ofKernels = (native.kernelNs(CPU) - kernelNs) / 1e6 / steps;
  native.setProfiling(false, CPU);
  return { ...sample, beyondMs: sample.ms - ofKernels, javascriptMs: active / steps };
}

/** How late a timer comes while `work` goes on. */
async function timed(work) {
  const late = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - last - TIMER_MS));
    last = now;
  }, TIMER_MS);
  await work(performance.now() + TIMED_MS);
  clearInterval(timer);
  return { late };
}

/** So many threads that do nothing but run, between `start` and `stop`. */
class BusyThreads {
  #isBusy = new Int32Array(new SharedArrayBuffer(4));
  #workers;

  constructor(count) {
    const body = `const { workerData: isBusy } = require('node:worker_threads');
      for (;;) { Atomics.wait(isBusy, 0, 0); while (Atomics.load(isBusy, 0) === 1); }`;
    const options = { eval: true, workerData: this.#isBusy };
    this.#workers = Array.from({ length: count }, () => new Worker(body, options));
  }

  set(isBusy) {
    Atomics.store(this.#isBusy, 0, isBusy ? 1 : 0);
    Atomics.notify(this.#isBusy, 0);
  }

  end() {
    return Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

export const MODEL_TASKS = {
  load: (task) => ({
    async run() {
      await (await load(task)).dispose();
    },
  }),

  async prefill(task) {
    const model = await load(task);
    const ids = idsFor(model, task.tokens);
    const run = () => model.generate(ids, { ...GREEDY, maxNewTokens: 1 });
    return { run: async () => void (await run()), close: () => model.dispose() };
  },

  async decode(task) {
    const model = await load(task);
    const prompt = idsFor(model, task.prompt ?? PROMPT);
    return {
      run: () => decode(model, prompt, task.tokens, task.isProfiled),
      close: () => model.dispose(),
    };
  },

  async encode(task) {
    const model = await load(task);
    const ids = [Array.from(idsFor(model, task.tokens))];
    return {
      async run(count) {
        for (let i = 0; i < count; ++i) {
          const hidden = scope(() => model.forward({ ids }).lastHiddenState);
          await hidden.data();
          hidden.dispose();
        }
      },
      close: () => model.dispose(),
    };
  },

  /** A timer while prompts are read. */
  async timerBesideWork(task) {
    const model = await load(task);
    const ids = idsFor(model, task.tokens);
    return {
      run: () =>
        timed(async (until) => {
          do await model.generate(ids, { ...GREEDY, maxNewTokens: 1 });
          while (performance.now() < until);
        }),
      close: () => model.dispose(),
    };
  },

  /** The same timer while as many plain threads run as the work has: what the system alone does to it. */
  async timerBesideThreads({ threads }) {
    const busy = new BusyThreads(threads);
    return {
      run: () =>
        timed(async (until) => {
          busy.set(true);
          await new Promise((resolve) => setTimeout(resolve, until - performance.now()));
          busy.set(false);
        }),
      close: () => busy.end(),
    };
  },
};
