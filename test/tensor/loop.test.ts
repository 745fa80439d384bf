import { add, argmax, concat, defaultDevice, embedding, KVCache, linear, memory, sync, tensor } from '#lib/index';
import { native } from '#lib/native';
import { endOfSequence } from '#lib/ops/sample';
import { Channel, Program } from '#lib/tensor/program';
import { runScript } from '../support/child';
import { Random } from '../support/random';

// Loops long enough that a device which has graphs makes one of the program.

const int32 = (values: number[]) => tensor(values, undefined, { dtype: 'int32' });
const VOCABULARY = 24;
const PAD = -1;

interface Loop extends Disposable {
  readonly program: Program;
  readonly channel: Channel;
  /** Loops until so many steps have run, or it ends. */
  run(steps: number): Promise<{ tokens: number[]; done: boolean; error: Error | undefined }>;
}

function loop(body: (channel: Channel) => void): Loop {
  const channel = new Channel();
  const program = Program.record(() => {
    body(channel);
  });
  return {
    program,
    channel,
    async run(steps) {
      const tokens: number[] = [];
      let [done, error] = [false, undefined as Error | undefined];
      for (let left = steps; left > 0 && !done && !error;) {
        program.loop(channel, left);
        for (let running = true; running;) {
          for (const news of await channel.take()) {
            tokens.push(...news.tokens);
            left -= news.steps;
            done ||= news.done;
            error ??= news.error;
            running &&= news.finishedLoops === 0;
          }
        }
      }
      return { tokens, done, error };
    },
    [Symbol.dispose]() {
      program[Symbol.dispose]();
      channel[Symbol.dispose]();
    },
  };
}

/** A tiny language model of random weights: each token follows from the one before. */
function randomWalk(seed: number) {
  const random = new Random(seed);
  const table = tensor(random.normals(VOCABULARY * 16), [VOCABULARY, 16]);
  const weight = tensor(random.normals(VOCABULARY * 16), [VOCABULARY, 16]);
  const [tokens, finished, ends] = [int32([1, 2]), int32([0, 0]), int32([])];
  const step = () => {
    const hidden = embedding(table, tokens);
    endOfSequence(argmax(linear(add(hidden, hidden), weight)), ends, PAD, tokens, finished);
  };
  return { tokens, finished, step };
}

async function oneByOne(seed: number, steps: number): Promise<number[]> {
  const walk = randomWalk(seed);
  using program = Program.record(walk.step);
  const all: number[] = [];
  for (let i = 0; i < steps; ++i) {
    program.run();
    all.push(...(await walk.tokens.data()));
  }
  return all;
}

const walkLoop = (walk: ReturnType<typeof randomWalk>) =>
  loop((channel) => {
    walk.step();
    channel.emit(walk.tokens, walk.finished);
  });

/** What `body` gives, and how many steps were one launch each. */
async function countGraphs<T>(body: () => Promise<T>): Promise<[result: T, graphs: number]> {
  const count = () => native.graphSteps(defaultDevice() === 'cpu' ? -1 : 0);
  const before = count();
  const result = await body();
  return [result, count() - before];
}
/** So many, on a device that has graphs. */
const graphs = (count: number): number => (defaultDevice() === 'cpu' ? 0 : count);

test('computes what single steps compute', async () => {
  using walk = walkLoop(randomWalk(7));
  const [{ tokens }, launches] = await countGraphs(() => walk.run(40));
  expect(tokens).toEqual(await oneByOne(7, 40));
  expect(launches).toBe(graphs(38)); // two steps run op by op
});

test('goes on where the loop before ended, also beside another', async () => {
  using one = walkLoop(randomWalk(8));
  using other = walkLoop(randomWalk(9));
  const tokens: number[][] = [[], []];
  const [, launches] = await countGraphs(async () => {
    for (const steps of [3, 20, 1, 16]) {
      tokens[0]!.push(...(await one.run(steps)).tokens);
      tokens[1]!.push(...(await other.run(steps)).tokens);
    }
  });
  expect(launches).toBe(graphs(2 * 37)); // nothing is captured for one step
  expect(tokens).toEqual([await oneByOne(8, 40), await oneByOne(9, 40)]);
});

test('tells numbers that are gone after the step', async () => {
  const walk = randomWalk(10);
  using sums = loop((channel) => {
    walk.step();
    channel.emit(argmax(add(tensor([1, 2, 3]), tensor([3, 2, 0])).reshape([1, 3])), walk.finished);
  });
  expect((await sums.run(20)).tokens).toEqual(Array.from({ length: 20 }, () => 0));
});

/** Step i tells i, from row i of a table that has `rows`; `end` is an end token. */
function counting(rows: number, end: number) {
  const cache = new KVCache({ numLayers: 1, batch: 1, capacity: 100, numKvHeads: 1, headDim: 4 });
  const values = Float32Array.from({ length: rows * rows }, (_, i) => (i % rows === Math.floor(i / rows) ? 1 : 0));
  const table = tensor(values, [rows, rows]);
  const [tokens, finished, ends, one] = [int32([0]), int32([0]), int32([end]), int32([0, 1])];
  const step = () => {
    endOfSequence(argmax(embedding(table, cache.lengths)), ends, PAD, tokens, finished);
    cache.advance(one);
  };
  const counter = loop((channel) => {
    step();
    channel.emit(tokens, finished);
  });
  return { counter, tokens, finished, cache, step };
}

test.each([0, 1, 2, 3, 17])('ends after step %i, all rows of which have ended', async (end) => {
  const { counter, cache } = counting(60, end);
  const { tokens, done } = await counter.run(50);
  expect(done).toBe(true);
  expect(tokens).toEqual(Array.from({ length: end + 1 }, (_, i) => i)); // and nothing of a step that had begun
  counter[Symbol.dispose]();
  cache.dispose();
});

test('emits twice a step, also in the last', async () => {
  const walk = randomWalk(17);
  using twice = loop((channel) => {
    walk.step();
    channel.emit(walk.tokens, walk.finished);
    channel.emit(walk.finished, walk.finished);
  });
  const { tokens } = await twice.run(20);
  const rows = Array.from({ length: 20 }, (_, i) => tokens.slice(4 * i, 4 * i + 4));
  const wanted = await oneByOne(17, 20);
  expect(rows).toEqual(Array.from({ length: 20 }, (_, i) => [...wanted.slice(2 * i, 2 * i + 2), 0, 0]));

  const { cache, finished, step } = counting(60, 17);
  using ending = loop((channel) => {
    step();
    channel.emit(finished, finished);
    channel.emit(finished, finished);
  });
  expect(await ending.run(50)).toMatchObject({ done: true, tokens: [...new Array<number>(2 * 17).fill(0), 1, 1] });
  cache.dispose();
});

test.each([1, 2, 3, 12, 25])(
  'an op that fails in step %i ends it with the reason, and no token is lost',
  async (rows) => {
    const { counter, tokens, cache } = counting(rows, 99);
    const result = await counter.run(60);
    expect(result.error).toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });
    expect(result.error!.message).toContain(`${rows}`);
    expect(result.tokens).toEqual(Array.from({ length: rows }, (_, i) => i));
    await expect(tokens.data()).rejects.toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });
    counter[Symbol.dispose]();
    cache.dispose();

    using walk = walkLoop(randomWalk(7)); // what failed is forgotten
    expect((await walk.run(20)).tokens).toEqual(await oneByOne(7, 20));
    await sync();
  },
);

test('what failed before it is not computed with', async () => {
  const walk = randomWalk(14);
  using looped = walkLoop(walk);
  await looped.run(20);
  const failed = argmax(embedding(tensor([1, 2], [1, 2]), int32([5, 5])));
  endOfSequence(failed, int32([]), PAD, walk.tokens, walk.finished);
  const { tokens, error } = await looped.run(20);
  expect(error).toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });
  expect(tokens).toEqual([]);
});

type Walk = ReturnType<typeof randomWalk>;
const noGraphs: [name: string, width: number, body: (channel: Channel, walk: Walk) => void][] = [
  [
    'emits before its last op',
    2,
    (channel, { tokens, finished, step }) => {
      channel.emit(tokens, finished);
      step();
    },
  ],
  [
    'emits much',
    20_000,
    (channel, { tokens, finished, step }) => {
      step();
      channel.emit(concat(Array.from({ length: 10_000 }, () => tokens)), finished);
    },
  ],
];
test.each(noGraphs)('a program that %s is no graph', async (_, width, body) => {
  const walk = randomWalk(15);
  using looped = loop((channel) => {
    body(channel, walk);
  });
  const [{ tokens }, launches] = await countGraphs(() => looped.run(12));
  expect(launches).toBe(0);
  expect(tokens).toHaveLength(12 * width);
});

test('an abort ends it, in mid-work too', async () => {
  using walk = walkLoop(randomWalk(16));
  for (let i = 0; i < 3; ++i) walk.program.loop(walk.channel, 4000);
  for (let finished = 0, aborted = false; finished < 3;) {
    for (const news of await walk.channel.take()) finished += news.finishedLoops;
    if (!aborted) walk.channel.abort();
    aborted = true;
  }
  await sync().catch((error: unknown) => {
    expect(error).toMatchObject({ code: 'ABORTED' });
  });
});

test('after an abort no step begins', async () => {
  using walk = walkLoop(randomWalk(11));
  await walk.run(12);
  walk.channel.abort();
  walk.program.loop(walk.channel, 20);
  const news = (await walk.channel.take()).at(-1)!;
  expect([news.finishedLoops, news.steps]).toEqual([1, 0]);
});

test('gives its memory back', async () => {
  const used = async () => {
    await sync();
    return memory().used;
  };
  const walks = [12, 13].map((seed) => randomWalk(seed));
  await sync();
  const before = await used();
  for (const walk of walks) {
    using looped = walkLoop(walk);
    await looped.run(20);
  }
  expect(await used()).toBeLessThanOrEqual(before); // less: tensors that other tests forgot are collected meanwhile
});

const simulated = process.env['HEDDLE_CUDA'] === 'simulator' && defaultDevice() !== 'cpu';
(simulated ? test : test.skip)('a device that is lost under it ends it', () => {
  const script = `
    const { native } = require('./dist/native.js');
    const model = await heddle.loadModel('builtin:dates');
    const error = await model.generate('3 May 1999', { maxNewTokens: 30, eosTokenId: null }).catch((error) => error);
    console.log(error.code, native.graphSteps(0) > 0);`;
  const env = { HEDDLE_SIMULATOR_LOSE_AFTER: '900' };
  expect(runScript(script, { env, timeoutMs: 60_000 })).toMatchObject({ stdout: 'DEVICE_LOST true\n', stderr: '' });
});
