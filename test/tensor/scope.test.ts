import { add, memory, scope, sync, tensor, type Tensor } from '#lib/index';

const one = () => tensor([1]);

test('disposes of what was made in it, and keeps what it returns', () => {
  let inner: Tensor | undefined;
  const result = scope(() => {
    inner = one();
    return add(inner, inner);
  });
  expect([inner?.disposed, result.disposed]).toEqual([true, false]);
});

const shelves: [name: string, wrap: (x: Tensor) => unknown][] = [
  ['an array', (x) => [1, x]],
  ['an object', (x) => ({ x })],
  ['a deep object', (x) => ({ a: [{ b: new Map([['x', x]]) }, new Set([x])] })],
  [
    'a cycle',
    (x) => {
      const cycle: unknown[] = [x];
      cycle.push(cycle);
      return cycle;
    },
  ],
  [
    'a very deep array',
    (x) => {
      let deep: unknown = x;
      for (let i = 0; i < 1e5; ++i) deep = [deep];
      return deep;
    },
  ],
];
test.each(shelves)('a tensor in %s survives', (_, wrap) => {
  let kept: Tensor | undefined;
  let gone: Tensor | undefined;
  scope(() => {
    gone = one();
    return wrap((kept = one()));
  });
  expect([kept?.disposed, gone?.disposed]).toEqual([false, true]);
});

test.each([undefined, null, 7, 'text', Symbol('s'), new Float32Array(3)])('returns %p as it is', (value) => {
  expect(scope(() => value)).toBe(value);
});

test('tensors from outside are left alone', () => {
  using outside = one();
  scope(() => add(outside, outside).dispose());
  expect(outside.disposed).toBe(false);
});

test('a survivor belongs to the scope around', () => {
  let survivor: Tensor | undefined;
  const result = scope(() => {
    survivor = scope(() => one());
    expect(survivor.disposed).toBe(false);
    return scope(() => add(survivor!, survivor!));
  });
  expect([survivor?.disposed, result.disposed]).toEqual([true, false]);
});

test('a view survives without its base', async () => {
  const view = scope(() => tensor([1, 2, 3, 4], [2, 2]).transpose());
  expect(await view.data()).toEqual(Float32Array.of(1, 3, 2, 4));
});

test('a throw inside disposes of everything and passes on', () => {
  let inner: Tensor | undefined;
  const failure = new Error('mine');
  const body = () => {
    scope(() => {
      inner = one();
      throw failure;
    });
  };
  expect(body).toThrow(failure);
  expect(inner?.disposed).toBe(true);
  const after = one(); // belongs to no scope
  expect(after.disposed).toBe(false);
});

test('a promise is a TypeError', () => {
  let inner: Tensor | undefined;
  const body = () => scope(() => ((inner = one()), inner.data()));
  expect(body).toThrow(TypeError);
  expect(body).toThrow(/\[scope\] body returned a promise/);
  expect(inner?.disposed).toBe(true);
  expect(() => scope(7 as unknown as () => void)).toThrow(/\[scope\] body must be a function/);
});

test('leaves no memory behind', async () => {
  await sync();
  const before = memory().live;
  scope(() => {
    let x = tensor(new Float32Array(1000));
    for (let i = 0; i < 50; ++i) x = add(x, x);
  });
  await sync();
  expect(memory().live).toBeLessThanOrEqual(before); // less: tensors that other tests forgot are collected meanwhile
});
