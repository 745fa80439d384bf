import { loadModel, memory, sync, type Model } from 'heddle';

// What stays in the cache between calls gives what reading everything anew gives.

let model: Model;
beforeAll(async () => {
  model = await loadModel('builtin:shakespeare');
});
afterAll(() => model.dispose());

const ids = (text: string) => model.tokenizer!.encode(text);
const anew = async (tokens: readonly number[], maxNewTokens: number) =>
  (await model.generate([...tokens], { maxNewTokens, doSample: false })).tokens;
const greedy = (maxNewTokens: number) => ({ maxNewTokens, doSample: false });

test('a text that grows: as if it were read anew each time', async () => {
  using session = model.session();
  const said: number[] = [];
  for (const [text, count] of [['ROMEO:\n', 20], ['\nJULIET:\n', 50], ['What', 1], ['?\n', 60]] as const) {
    said.push(...ids(text));
    const wanted = await anew(said, count);
    const { tokens, text: found } = await session.generate(text, greedy(count));
    expect(tokens).toEqual(wanted);
    expect(found).toBe(model.tokenizer!.decode(wanted));
    said.push(...tokens);
    expect(session.tokens).toEqual(said);
  }
});

test('forks go on by themselves, across pages and from within one', async () => {
  using first = model.session();
  await first.generate(ids('KING RICHARD III:\nNow is the winter of our discontent made glorious'), greedy(30));
  using second = first.fork();
  using third = second.fork();
  const begin = [...first.tokens];
  const other = ids('\nQUEEN:\n');
  const [a, b, c] = await Promise.all([
    first.generate(ids('\nKING:\n'), greedy(40)),
    second.generate(other, greedy(40)),
    third.generate(other, { ...greedy(40), seed: undefined }),
  ]);
  expect(a.tokens).toEqual(await anew([...begin, ...ids('\nKING:\n')], 40));
  expect(b.tokens).toEqual(await anew([...begin, ...other], 40));
  expect(c.tokens).toEqual(b.tokens);
});

test('rewinding forgets', async () => {
  using session = model.session();
  await session.generate('First Citizen:\n', greedy(90));
  const kept = session.tokens.slice(0, 30);
  session.rewind(30);
  expect(session.tokens).toEqual(kept);
  expect((await session.generate([ids('a')[0]!], greedy(20))).tokens).toEqual(await anew([...kept, ids('a')[0]!], 20));
  session.rewind(0);
  expect((await session.generate('O', greedy(5))).tokens).toEqual(await anew(ids('O'), 5));
});

test('streams, and streams that are left', async () => {
  using session = model.session();
  const taken: number[] = [];
  for await (const piece of session.stream('MENENIUS:\n', greedy(80))) {
    taken.push(...piece.tokens);
    if (taken.length >= 20) break;
  }
  const held = [...ids('MENENIUS:\n'), ...taken];
  expect(session.tokens).toEqual(held);
  expect((await session.generate('\n', greedy(20))).tokens).toEqual(await anew([...held, ...ids('\n')], 20));
});

test('the signal ends a generation, and the session is as it was', async () => {
  using session = model.session();
  await session.generate('ROMEO:\n', greedy(10));
  const before = [...session.tokens];
  const stop = new AbortController();
  const running = session.generate('\nJULIET:\n', { ...greedy(150), signal: stop.signal });
  setTimeout(() => {
    stop.abort(new Error('enough'));
  }, 3);
  await expect(running).rejects.toThrow('enough');
  expect(session.tokens).toEqual(before);
  expect((await session.generate('\n', greedy(30))).tokens).toEqual(await anew([...before, ...ids('\n')], 30));
});

test('misuse', async () => {
  using session = model.session();
  await expect(session.generate('O', { numBeams: 2 })).rejects.toThrow(/\[Session.generate\].*numBeams/);
  await expect(session.generate('O', { bestOf: 2 })).rejects.toThrow(RangeError);
  await expect(session.generate('', greedy(1))).rejects.toThrow(/\[Session.generate\]/);
  await expect(session.generate([-1], greedy(1))).rejects.toThrow(/prompt\[0\]/);
  await expect(session.generate([[1], [2]] as never, greedy(1))).rejects.toThrow(/\[Session.generate\] prompt/);
  await expect(session.generate('O', { temperature: -1 })).rejects.toThrow(/temperature/);
  const running = session.generate('O', greedy(50));
  await expect(session.generate('O', greedy(1))).rejects.toThrow(/under way/);
  expect(() => session.fork()).toThrow(/\[Session.fork\]/);
  expect(() => {
    session.rewind(0);
  }).toThrow(/\[Session.rewind\]/);
  await running;
  expect(() => {
    session.rewind(1e6);
  }).toThrow(RangeError);
  const gone = model.session();
  gone.dispose();
  gone.dispose();
  await expect(gone.generate('O')).rejects.toThrow(/disposed/);
});

test('memory: pages that hold nothing are used again', async () => {
  const live = async () => {
    await sync();
    return memory().live;
  };
  const session = model.session();
  await session.generate('ROMEO:\n', greedy(100));
  const once = await live();
  for (let round = 0; round < 5; ++round) {
    session.rewind(3);
    using fork = session.fork();
    await fork.generate('x', greedy(60));
  }
  expect(await live()).toBeLessThanOrEqual(once * 1.2);
  const fork = session.fork();
  session.dispose();
  await fork.generate('x', greedy(5));
  fork.dispose();
  expect(await live()).toBeLessThan(once);
});
