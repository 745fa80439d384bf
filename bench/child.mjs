// node bench/child.mjs <engine>: measures what bench/turns.mjs asks for, a line of JSON a question, a line an answer.
//
//   { "open": task }  the engine makes it ready; warms it up
//   { "turn": ms }    { "samples": [{ ms, cpuMs, … }] } of that long, one at least
//   { "close": true } gives its memory back
//
// An engine is a module with `open(task)`, which gives `run(count)`: does it so many times and waits for all. What `run`
// returns, if anything, is the sample, and `count` is 1: a decode knows best where its steps begin. `close()` is
// optional, and so are `facts`, which the row's results have.
// bench/peers/torch_engine.py answers the same from Python.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { stopwatch } from './stopwatch.mjs';

const SAMPLE_MS = 5; // far above what clocks and process.cpuUsage() can tell apart
const WARM_UP_MS = 200; // loads code, takes memory
const MAX_CALLS = 256; // heddle's queue takes 4,096 ops

const { open } = await import(pathToFileURL(process.argv[2]).href);
let task;
let calls;

/** One sample, of a call. */
async function sample() {
  const elapsed = stopwatch();
  const own = await task.run(calls);
  return own ?? elapsed(calls);
}

const answers = {
  async open(asked) {
    await answers.close(); // the one before, if it failed
    task = await open(asked);
    calls = 1;
    let ms;
    const until = performance.now() + WARM_UP_MS;
    do ({ ms } = await sample());
    while (performance.now() < until);
    if (ms < SAMPLE_MS) calls = Math.max(1, Math.min(MAX_CALLS, Math.round(SAMPLE_MS / ms)));
    return { facts: task.facts };
  },
  async turn(turnMs) {
    const samples = [];
    const until = performance.now() + turnMs;
    do samples.push(await sample());
    while (performance.now() < until);
    return { samples };
  },
  async close() {
    await task?.close?.();
    task = undefined;
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [[question, argument]] = Object.entries(JSON.parse(line));
  const answer = await answers[question](argument).catch((error) => ({ error: error.message.split('\n')[0] }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(); // some engines keep threads
