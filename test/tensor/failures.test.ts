import { add, embedding, layerNorm, sync, tensor, type Tensor } from '#lib/index';

const table = tensor([1, 2, 3, 4], [2, 2]);
const fails = (id = 9): Tensor => embedding(table, tensor([id], [1], { dtype: 'int32' }));
const cause = (id = 9) => ({ code: 'INDEX_OUT_OF_RANGE', message: expect.stringContaining(`got ${id}`) as string });

afterEach(() => sync().catch(() => undefined));

test('an op that fails poisons its output, what is computed from it, and views', async () => {
  const bad = fails();
  const sum = add(bad, table);
  const both = layerNorm(sum, { residual: sum });
  for (const x of [bad, sum, both.output, both.sum, sum.transpose(), sum.reshape([4])]) {
    await expect(x.data()).rejects.toMatchObject(cause());
    await expect(x.data(new Float32Array(x.size))).rejects.toMatchObject(cause());
  }
});

test('every read gives the first cause', async () => {
  const x = add(fails(7), fails(8));
  await expect(x.data()).rejects.toMatchObject(cause(7));
  await expect(x.data()).rejects.toMatchObject(cause(7));
});

test('it does not spread to what is not computed from it', async () => {
  const bad = fails();
  expect(await add(table, table).data()).toEqual(Float32Array.of(2, 4, 6, 8));
  await expect(bad.data()).rejects.toMatchObject(cause());
});

test('sync() reports a failure that nobody read, once', async () => {
  fails(5).dispose();
  await expect(sync()).rejects.toMatchObject(cause(5));
  await expect(sync()).resolves.toBeUndefined();
});

test('sync() reports the oldest; one that was read is not reported', async () => {
  const [first] = [fails(3), fails(4)];
  await expect(sync()).rejects.toMatchObject(cause(3));
  await sync().catch(() => undefined);
  await expect(first.data()).rejects.toMatchObject(cause(3));
  await expect(sync()).resolves.toBeUndefined();

  const read = fails(6);
  await expect(read.data()).rejects.toMatchObject(cause(6));
  await expect(sync()).resolves.toBeUndefined();
});
