import { add, defaultDevice, embedding, linear, packWeight, sync, tensor, Tensor } from '#lib/index';
import { Random } from '../support/random';

describe('tensor()', () => {
  test('takes numbers as float32, or int32 if asked', async () => {
    using x = tensor([1.5, -2, 3]);
    expect([x.dtype, x.shape, x.device, x.size, x.packed]).toEqual(['float32', [3], defaultDevice(), 3, false]);
    expect(await x.data()).toEqual(Float32Array.of(1.5, -2, 3));
    using ids = tensor([1, -(2 ** 31)], [2, 1], { dtype: 'int32' });
    expect([ids.dtype, ids.shape, await ids.data()]).toEqual(['int32', [2, 1], Int32Array.of(1, -(2 ** 31))]);
  });

  test('takes the dtype of a typed array, also of a part of its buffer', async () => {
    const whole = Int32Array.of(1, 2, 3, 4, 5);
    expect(await tensor(whole.subarray(1, 4)).data()).toEqual(Int32Array.of(2, 3, 4));
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([7, 8]);
    expect(await tensor(shared).data()).toEqual(Float32Array.of(7, 8));
  });

  test('copies before it returns', async () => {
    const values = Float32Array.of(1, 2);
    using x = tensor(values);
    values.fill(9);
    expect(await x.data()).toEqual(Float32Array.of(1, 2));
  });

  const empties: number[][] = [[0], [0, 3], [3, 0], [2, 0, 2]];
  test.each([[[]], [[1, 1, 1, 1, 1, 1]]])('one number of shape %j', async (shape: number[]) => {
    using x = tensor([5], shape);
    expect([x.shape, x.size, await x.data()]).toEqual([shape, 1, Float32Array.of(5)]);
  });
  test.each(empties.map((shape) => [shape]))('nothing, of shape %j', async (shape) => {
    using x = tensor([], shape);
    expect([x.shape, x.size, await x.data()]).toEqual([shape, 0, new Float32Array(0)]);
  });

  test('keeps every bit of a number', async () => {
    const bits = Uint32Array.of(0x80000000, 0x7fc00001, 0x00000001, 0x7f800000, 0xff7fffff);
    const out = await tensor(new Float32Array(bits.buffer)).data();
    expect(new Uint32Array(out.buffer)).toEqual(bits);
  });
});

describe('halves', () => {
  test.each(['float16', 'bfloat16'] as const)('%s: of numbers and of a Float32Array, and back', async (dtype) => {
    for (const values of [[1, -2, 0.1], Float32Array.of(1, -2, 0.1)]) {
      using x = tensor(values, [3, 1], { dtype });
      expect([x.dtype, x.shape, x.size]).toEqual([dtype, [3, 1], 3]);
      const tenth = dtype === 'float16' ? 0.0999755859375 : 0.10009765625;
      expect(await x.data()).toEqual(Float32Array.of(1, -2, tenth));
      const whole = new Float32Array(5);
      await x.data(whole.subarray(1, 4));
      expect(whole).toEqual(Float32Array.of(0, 1, -2, tenth, 0));
      expect(await x.transpose().slice(1, 1, 3).data()).toEqual(Float32Array.of(-2, tenth));
    }
    await expect(tensor([1, 2], [2], { dtype }).data(new Int32Array(2))).rejects.toThrow(/Float32Array/);
    expect(() => tensor(new Int32Array(2), [2], { dtype })).toThrow(TypeError);
  });

  test('what waits in the queue is widened, too', async () => {
    using x = tensor(new Float32Array(1000).fill(1), [1000], { dtype: 'bfloat16' });
    using y = linear(x, tensor(new Float32Array(1e6).fill(1), [1000, 1000], { dtype: 'bfloat16' }));
    const [fresh, into] = [y.data(), y.data(new Float32Array(1000))];
    expect(await fresh).toEqual(new Float32Array(1000).fill(1000));
    expect(await into).toEqual(await fresh);
  });
});

describe('bytes()', () => {
  test('gives the storage, row-major, of every dtype', async () => {
    const bytes = async (x: Tensor) => [...(await x.bytes())];
    const values = [1, -2, 1, 1];
    expect(await bytes(tensor([1, 0, 0, 1], [2, 2], { dtype: 'bool' }).slice(1, 1, 2))).toEqual([0, 1]);
    expect(await bytes(tensor([258, -1], [2], { dtype: 'int32' }))).toEqual([2, 1, 0, 0, 255, 255, 255, 255]);
    expect(await bytes(tensor([1, -2]))).toEqual([0, 0, 128, 63, 0, 0, 0, 192]);
    expect(await bytes(tensor(values, [2, 2], { dtype: 'bfloat16' }).transpose())).toEqual([
      128, 63, 128, 63, 0, 192, 128, 63,
    ]);
    expect(await bytes(tensor(values, [4], { dtype: 'float16' }).slice(0, 1, 3))).toEqual([0, 192, 0, 60]);
    expect(await bytes(tensor([], [0, 2], { dtype: 'float16' }))).toEqual([]);
  });

  test('of a packed weight there are none; a failure is told', async () => {
    using weight = packWeight(tensor(new Float32Array(6), [2, 3]));
    await expect(weight.bytes()).rejects.toThrow(/\[bytes\].*packed/);
    using rows = embedding(tensor(new Float32Array(6), [2, 3]), tensor([5], [1], { dtype: 'int32' }));
    await expect(rows.bytes()).rejects.toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });
  });
});

describe('data(into)', () => {
  test('fills the given array and returns it', async () => {
    const whole = new Float32Array(5);
    const into = whole.subarray(1, 3);
    using x = tensor([1, 2]);
    expect(await x.data(into)).toBe(into);
    expect(whole).toEqual(Float32Array.of(0, 1, 2, 0, 0));
  });

  test('is a snapshot in stream order', async () => {
    using x = tensor([1, 2]);
    using y = add(x, x);
    const [first, second] = [y.data(), y.data(new Float32Array(2))];
    x.dispose();
    y.dispose();
    expect(await first).toEqual(Float32Array.of(2, 4));
    expect(await second).toEqual(Float32Array.of(2, 4));
  });

  test('an array that is detached meanwhile is refused', async () => {
    const into = new Float32Array(1000);
    using x = tensor(new Float32Array(1000).fill(1));
    using y = linear(x, tensor(new Float32Array(1e6), [1000, 1000]));
    const reading = y.data(into);
    structuredClone(into, { transfer: [into.buffer] });
    await expect(reading).rejects.toThrow(/detached/);
  });
});

describe('views', () => {
  const [a, b, c] = [2, 3, 4];
  const values = new Random(1).normals(a * b * c);
  const at = (i: number, j: number, k: number) => values[(i * b + j) * c + k]!;
  const gather = (shape: number[], pick: (i: number, j: number, k: number) => number) =>
    Float32Array.from({ length: shape[0]! * shape[1]! * shape[2]! }, (_, n) =>
      pick(Math.floor(n / (shape[1]! * shape[2]!)), Math.floor(n / shape[2]!) % shape[1]!, n % shape[2]!),
    );
  const x = tensor(values, [a, b, c]);

  const views: [
    name: string,
    view: () => Tensor,
    shape: number[],
    pick: (i: number, j: number, k: number) => number,
  ][] = [
    ['transpose()', () => x.transpose(), [a, c, b], (i, j, k) => at(i, k, j)],
    ['transpose(0, 2)', () => x.transpose(0, 2), [c, b, a], (i, j, k) => at(k, j, i)],
    ['transpose(-3, 1)', () => x.transpose(-3, 1), [b, a, c], (i, j, k) => at(j, i, k)],
    ['slice(2, 1, 3)', () => x.slice(2, 1, 3), [a, b, 2], (i, j, k) => at(i, j, k + 1)],
    ['slice(-2, 2, 3)', () => x.slice(-2, 2, 3), [a, 1, c], (i, _, k) => at(i, 2, k)],
    ['a slice of a slice', () => x.slice(1, 1, 3).slice(1, 1, 2), [a, 1, c], (i, _, k) => at(i, 2, k)],
    ['transpose, slice', () => x.transpose(0, 1).slice(1, 1, 2), [b, 1, c], (i, _, k) => at(1, i, k)],
    ['reshape', () => x.reshape([1, a * b, -1]), [1, a * b, c], (_, j, k) => values[j * c + k]!],
    ['reshape of a transpose', () => x.transpose().reshape([-1, c, b]), [a, c, b], (i, j, k) => at(i, k, j)],
  ];
  test.each(views)('%s', async (_, view, shape, pick) => {
    using y = view();
    expect([y.shape, await y.data()]).toEqual([shape, gather(shape, pick)]);
    using flat = y.reshape([-1]); // a copy where the view is not dense
    expect([flat.shape, await flat.data()]).toEqual([[y.size], gather(shape, pick)]);
  });

  test('empty ones', async () => {
    expect([x.slice(0, 1, 1).shape, await x.slice(0, 1, 1).data()]).toEqual([[0, b, c], new Float32Array(0)]);
    expect(tensor([], [0, 3]).reshape([3, 0, 7]).shape).toEqual([3, 0, 7]);
  });

  test('hold their storage', async () => {
    const base = tensor([1, 2, 3, 4], [2, 2]);
    using view = base.transpose();
    base.dispose();
    await sync();
    tensor(new Float32Array(4).fill(9)).dispose();
    expect(await view.data()).toEqual(Float32Array.of(1, 3, 2, 4));
  });
});

describe('dispose', () => {
  test('twice is harmless; afterwards every use is a TypeError', async () => {
    const x = tensor([1, 2]);
    expect(x.disposed).toBe(false);
    x.dispose();
    x.dispose();
    expect(x.disposed).toBe(true);
    expect(() => add(x, x)).toThrow(TypeError);
    expect(() => x.shape).toThrow(TypeError);
    expect(() => x.reshape([2, 1])).toThrow(TypeError);
    await expect(x.data()).rejects.toThrow(TypeError);
  });

  test('`using` disposes', () => {
    let seen: Tensor;
    {
      using x = tensor([1]);
      seen = x;
    }
    expect(seen.disposed).toBe(true);
  });

  test('what is queued still has its inputs', async () => {
    const x = tensor([1, 2]);
    let y = add(x, x);
    x.dispose();
    for (let i = 0; i < 20; ++i) {
      const next = add(y, y);
      y.dispose();
      y = next;
    }
    expect(await y.data()).toEqual(Float32Array.of(2 ** 21, 2 ** 22));
  });
});

test('a packed weight says so and cannot be read', async () => {
  using weight = packWeight(tensor(new Float32Array(6), [2, 3]));
  expect([weight.packed, weight.shape, weight.dtype]).toEqual([true, [2, 3], 'float32']);
  await expect(weight.data()).rejects.toThrow(/\[data\].*packed/);
  for (const use of [() => weight.transpose(), () => weight.slice(0, 0, 1), () => weight.reshape([6])]) {
    expect(use).toThrow(TypeError);
  }
});

test('Tensor is not made with new', () => {
  const construct = Tensor as unknown as new (...values: unknown[]) => Tensor;
  expect(() => new construct(1, 2)).toThrow(/tensor\(values, shape\)/);
});
