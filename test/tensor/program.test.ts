import { add, embedding, gelu, KVCache, linear, sync, tensor, type Tensor } from '#lib/index';
import { endOfSequence } from '#lib/ops/sample';
import { Channel, Program, type ChannelNews } from '#lib/tensor/program';

const int32 = (values: number[]) => tensor(values, undefined, { dtype: 'int32' });

afterEach(() => sync().catch(() => undefined));

/** Records `body` and gives what it returned as well. */
function record<T>(body: () => T): [Program, T] {
  let result: T | undefined;
  const program = Program.record(() => (result = body()));
  return [program, result as T];
}

test('a replay reads its inputs as they are then', async () => {
  using cache = new KVCache({ numLayers: 1, batch: 1, capacity: 10, numKvHeads: 1, headDim: 4 });
  using table = tensor([10, 11, 12, 13], [4, 1]);
  const [program, row] = record(() => embedding(table, cache.lengths)); // lengths change between replays
  for (const expected of [10, 11, 12]) {
    program.run();
    expect(await row.data()).toEqual(Float32Array.of(expected));
    cache.advance(int32([0, 1]));
  }
  program[Symbol.dispose]();
});

test('recording runs nothing, and what it made has no value before a replay', async () => {
  using x = tensor([1, 2]);
  const [program, y] = record(() => add(x, x));
  await expect(y.data()).rejects.toMatchObject({ code: 'NO_VALUE' });
  program.run();
  expect(await y.data()).toEqual(Float32Array.of(2, 4));
  program[Symbol.dispose]();
  expect(await y.data()).toEqual(Float32Array.of(2, 4));
});

test('a chain of ops, packed weights and constants replays many times', async () => {
  using weight = tensor([1, 1, 0, 1], [2, 2]);
  const x = tensor([1, 2], [1, 2]);
  const [program, y] = record(() => linear(add(gelu(x), tensor([1])), weight));
  x.dispose(); // the program holds it
  const plain = await linear(add(gelu(tensor([1, 2], [1, 2])), tensor([1])), weight).data();
  for (let i = 0; i < 5; ++i) program.run();
  expect(await y.data()).toEqual(plain);
  program[Symbol.dispose]();
});

test('a failure poisons a replay; the next may succeed', async () => {
  using lengths = new KVCache({ numLayers: 1, batch: 1, capacity: 10, numKvHeads: 1, headDim: 4 });
  lengths.advance(int32([0, 1]));
  using table = tensor([10, 11], [2, 1]);
  const [program, row] = record(() => embedding(table, lengths.lengths));
  const replay = () => (program.run(), row.data());
  expect(await replay()).toEqual(Float32Array.of(11));
  lengths.advance(int32([0, 1]));
  await expect(replay()).rejects.toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });
  program[Symbol.dispose]();
});

test('a throw inside cancels the recording', async () => {
  expect(() =>
    Program.record(() => {
      tensor([1]);
      throw new Error('mine');
    }),
  ).toThrow('mine');
  expect(await add(tensor([1]), tensor([2])).data()).toEqual(Float32Array.of(3)); // runs, is not recorded
});

test('recordings do not nest; a disposed program does not run', () => {
  expect(() => Program.record(() => Program.record(() => undefined))).toThrow(/\[program\]/);
  const program = Program.record(() => undefined);
  program[Symbol.dispose]();
  program[Symbol.dispose]();
  expect(() => program.run()).toThrow(TypeError);
});

describe('a loop', () => {
  /** Counts up from 0 and ends at `end`; gives all news until the loops are done. */
  async function count(end: number, loops: number, maxSteps: number): Promise<{ tokens: number[]; news: ChannelNews }> {
    const [tokens, finished] = [int32([0]), int32([0])];
    const ends = int32([end]);
    using next = tensor(
      Float32Array.from({ length: 100 }, (_, i) => i + 1),
      [100, 1],
    );
    using cache = new KVCache({ numLayers: 1, batch: 1, capacity: 100, numKvHeads: 1, headDim: 4 });
    const one = int32([0, 1]);
    const seen: number[] = [];
    const channel = new Channel();
    const program = Program.record(() => {
      embedding(next, tokens);
      endOfSequence(cache.lengths, ends, -1, tokens, finished);
      channel.emit(tokens, finished);
      cache.advance(one);
    });
    for (let i = 0; i < loops; ++i) program.loop(channel, maxSteps);
    let last: ChannelNews | undefined;
    let [pending, steps] = [loops, loops * maxSteps];
    while (pending > 0 && !last?.error) {
      for (const news of await channel.take()) {
        seen.push(...news.tokens);
        pending -= news.finishedLoops;
        steps -= news.steps;
        last = news;
      }
      if (pending > 0 || steps <= 0 || last!.done || last!.error) continue;
      program.loop(channel, steps); // what a slow device did not do in its turn
      pending = 1;
    }
    channel[Symbol.dispose]();
    program[Symbol.dispose]();
    return { tokens: seen, news: last! };
  }

  test('runs its steps and tells the tokens', async () => {
    expect((await count(99, 2, 4)).tokens).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test('ends early when every row has ended', async () => {
    const { tokens, news } = await count(2, 2, 10);
    expect(tokens).toEqual([0, 1, 2]);
    expect(news.done).toBe(true);
  });
});

test('guarded work does not run once the channel is aborted', async () => {
  const channel = new Channel();
  channel.abort();
  const x: Tensor = channel.guard(() => add(tensor([1]), tensor([1])));
  await expect(x.data()).rejects.toMatchObject({ code: 'ABORTED' });
  expect(await add(tensor([1]), tensor([1])).data()).toEqual(Float32Array.of(2));
  channel[Symbol.dispose]();
});

test('a program may outlive its channel', async () => {
  const [tokens, finished] = [int32([1]), int32([0])];
  const channel = new Channel();
  using program = Program.record(() => {
    channel.emit(tokens, finished);
  });
  channel[Symbol.dispose]();
  program.run();
  await sync();
  expect(await tokens.data()).toEqual(Int32Array.of(1));
});

test('nothing is replayed while recording', () => {
  using program = Program.record(() => undefined);
  expect(() =>
    Program.record(() => {
      program.run();
    }),
  ).toThrow('recorded');
});
