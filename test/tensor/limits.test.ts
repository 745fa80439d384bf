import {
  add,
  defaultDevice,
  devices,
  linear,
  memory,
  QueueFullError,
  setMemoryLimit,
  setNumThreads,
  sync,
  tensor,
} from '#lib/index';
import { runScript } from '../support/child';

afterEach(async () => {
  setMemoryLimit(Infinity);
  await sync();
});

test('past a depth a call throws QueueFullError; sync() drains', async () => {
  using slow = tensor(new Float32Array(600 * 600), [600, 600]);
  linear(slow, slow).dispose(); // keeps the stream busy meanwhile
  const x = tensor([1]);
  const fill = () => {
    for (let i = 0; i < 20_000; ++i) {
      if (i % 500 === 0) linear(slow, slow).dispose();
      add(x, x).dispose();
    }
  };
  expect(fill).toThrow(QueueFullError);
  expect(fill).toThrow(/operations wait already: await sync\(\)/);
  expect(memory().pending).toBeGreaterThan(1000);
  await sync();
  expect(memory().pending).toBe(0);
  expect(await add(x, x).data()).toEqual(Float32Array.of(2));
});

test('tensors that are freed do not count', async () => {
  using slow = tensor(new Float32Array(600 * 600), [600, 600]);
  const many = Array.from({ length: 10_000 }, () => tensor([1]));
  await sync();
  linear(slow, slow).dispose();
  for (const x of many) x.dispose();
  expect(() => add(slow, slow).dispose()).not.toThrow();
});

test('past the memory limit a call throws QueueFullError; disposing makes room', async () => {
  await sync();
  setMemoryLimit(memory().live + 10_000);
  const x = tensor(new Float32Array(2000));
  const make = () => add(x, x);
  expect(make).toThrow(QueueFullError);
  expect(new QueueFullError().code).toBe('QUEUE_FULL');
  expect(() => tensor(new Float32Array(1000))).toThrow(/memory limit/);
  x.dispose();
  await sync(); // what was disposed of is given back in stream order
  const y = tensor(new Float32Array(2000));
  setMemoryLimit(Infinity);
  expect((await add(y, y).data()).length).toBe(2000);
});

test('memory() counts live bytes, and views only once', async () => {
  await sync();
  const before = memory().live;
  const x = tensor(new Float32Array(100), [10, 10]);
  const view = x.transpose();
  expect(memory().live - before).toBe(400);
  x.dispose();
  expect(memory().live - before).toBe(400);
  view.dispose();
  expect(memory().live - before).toBe(0);
});

// In a process of its own: what earlier tests left to the garbage collector would come back meanwhile.
test('of memory kept for reuse, what was free the longest goes first', () => {
  const { stdout, stderr } = runScript(`
    const { memory, sync, tensor, trimMemory } = heddle;
    const megabytes = (count) => tensor(new Float32Array(count << 18));
    const cached = async () => (await sync(), memory().cached / 2 ** 20);
    for (const x of Array.from({ length: 40 }, () => megabytes(8))) x.dispose(); // more than is kept on the CPU
    megabytes(12).dispose();
    const kept = await cached();
    const x = megabytes(12); // found, not taken anew
    const left = await cached();
    trimMemory();
    console.log(JSON.stringify([kept, left, await cached()]));
    x.dispose();`);
  expect(stderr).toBe('');
  const kept = defaultDevice() === 'cpu' ? 252 : 332;
  expect(JSON.parse(stdout)).toEqual([kept, kept - 12, 0]);
});

test('setNumThreads changes what devices() says', () => {
  const before = devices()[0].threads;
  for (const count of [1, 3, before]) {
    setNumThreads(count);
    expect(devices()[0].threads).toBe(count);
  }
});

test.each(['0', '-1', '1.5', 'two', '1025', '99999999999999999999', ' ', '2x'])(
  'HEDDLE_NUM_THREADS=%j is a RangeError',
  (value) => {
    const { status, stderr } = runScript('', { env: { HEDDLE_NUM_THREADS: value } });
    expect(status).toBe(1);
    expect(stderr).toContain('RangeError: [heddle] HEDDLE_NUM_THREADS must be a whole number from 1 to 1024');
  },
);

test('HEDDLE_NUM_THREADS sets the number', () => {
  const { stdout } = runScript('console.log(heddle.devices()[0].threads)', { env: { HEDDLE_NUM_THREADS: '3' } });
  expect(stdout).toBe('3\n');
});
