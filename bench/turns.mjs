// Engines in processes of their own, which take turns: each sees the same machine, busy or not.
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

const CHILD = path.join(import.meta.dirname, 'child.mjs');

// A contender that has taken so long in a row takes no more turns: one that spins while it waits for a thread can be a
// hundred times slower where others want the core, too.
const PATIENCE_MS = 40_000;

// Before each turn: threads of some engines spin on for a while behind their work, which the next would pay for.
const PAUSE_MS = 200;

/** The `q`-th part of sorted values. */
const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
const sortedOf = (samples, key) => samples.map((sample) => sample[key]).sort((a, b) => a - b);

/** Samples as figures: best deciles and the median. */
function summarize(samples) {
  if (samples[0].late) {
    const late = samples.flatMap((sample) => sample.late).sort((a, b) => a - b);
    return { p99Ms: quantile(late, 0.99), medianMs: quantile(late, 0.5), samples: late.length };
  }
  const [ms, cpu] = [sortedOf(samples, 'ms'), sortedOf(samples, 'cpuMs')];
  const others = Object.keys(samples[0]).filter((key) => key !== 'ms' && key !== 'cpuMs');
  return {
    bestMs: quantile(ms, 0.1),
    medianMs: quantile(ms, 0.5),
    cpuMs: quantile(cpu, 0.1),
    ...Object.fromEntries(others.map((key) => [key, quantile(sortedOf(samples, key), 0.1)])),
    samples: samples.length,
  };
}

/** What counts, in milliseconds: processor time on one thread, which others disturb least; else the best decile. */
export function figureOf({ p99Ms, bestMs, cpuMs }, threads) {
  return p99Ms ?? (threads === 1 ? cpuMs : bestMs);
}

/** A process that runs one engine; bench/child.mjs says what it is asked. */
class Child {
  isAlive = true;
  #process;
  #lines;
  #ended;

  constructor({ command, args = [], env }, threads) {
    this.#process = spawn(command, args, {
      stdio: 'pipe',
      env: { ...process.env, HEDDLE_NUM_THREADS: `${threads}`, OMP_NUM_THREADS: `${threads}`, ...env },
    });
    let said = '';
    this.#process.stderr.on('data', (text) => (said = (said + text).slice(-4096)));
    this.#ended = new Promise((resolve) => {
      this.#process.on('error', ({ message }) => resolve(message));
      this.#process.on('close', (status, signal) => {
        const reason = said.split('\n').find((line) => /error/i.test(line)) ?? signal ?? `exit status ${status}`;
        resolve(`its process ended: ${reason.trim()}`);
      });
    });
    this.#ended.then(() => (this.isAlive = false));
    this.#process.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ask(question) {
    this.#process.stdin.write(`${JSON.stringify(question)}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(await this.#ended);
      if (!value.startsWith('{')) continue; // what libraries say
      const answer = JSON.parse(value);
      if (answer.error) throw new Error(answer.error);
      return answer;
    }
  }

  end() {
    this.#process.stdin.end();
  }
}

/** One child for each engine and number of threads, started when first asked for. */
export class Engines {
  #children = new Map();

  /** `engines`: by name { module } or { command, args }, or { reason } where it cannot be run. */
  constructor(engines) {
    this.engines = engines;
  }

  child(name, threads) {
    const key = `${name} ${threads}`;
    let child = this.#children.get(key);
    if (!child?.isAlive) {
      const { module, reason, ...command } = this.engines[name];
      if (reason) throw new Error(reason);
      child = new Child(module ? { command: process.execPath, args: [CHILD, module] } : command, threads);
      this.#children.set(key, child);
    }
    return child;
  }

  end() {
    for (const child of this.#children.values()) child.end();
  }
}

/**
 * Measures the contenders of a row in turns.
 *
 * @returns for each { label, engine, … } its figures, or { label, engine, error }.
 */
export async function measureRow(engines, { contenders, rounds = 7, turnMs = 150 }, threads, onTurn = () => undefined) {
  const open = [];
  for (const { label, engine, task } of contenders) {
    const one = { label, engine, samples: [], spentMs: 0 };
    open.push(one);
    await attempt(one, async () => {
      one.child = engines.child(engine, threads);
      one.facts = (await one.child.ask({ open: { ...task, threads } })).facts;
    });
  }
  for (let round = 0; round < rounds; ++round) {
    for (const one of open) {
      if (round > 0 && one.spentMs > PATIENCE_MS) continue;
      if (open.length > 1) await setTimeout(PAUSE_MS);
      await attempt(one, async () => one.samples.push(...(await one.child.ask({ turn: turnMs })).samples));
    }
    onTurn();
  }
  for (const one of open) await attempt(one, () => one.child.ask({ close: true }));
  return open.map(({ label, engine, samples, facts, error }) =>
    error === undefined ? { label, engine, ...summarize(samples), facts } : { label, engine, error },
  );
}

/** What fails for one contender is what its row says; the others go on. */
async function attempt(one, action) {
  if (one.error !== undefined) return;
  const began = performance.now();
  try {
    await action();
  } catch (error) {
    one.error = error.message;
  }
  one.spentMs += performance.now() - began;
}
