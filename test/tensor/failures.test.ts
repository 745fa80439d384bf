import { add, embedding, layerNorm, sync, tensor, type Tensor } from '#lib/index';
import { appendTokens, beamStep, reorderRows } from '#lib/ops/beam';

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

const int32 = (values: number[], shape?: number[]) => tensor(values, shape, { dtype: 'int32' });

test('what is written in part stays poisoned', async () => {
  const [history, lengths] = [int32([1, 0, 1, 0], [2, 2]), int32([1, 1])];
  reorderRows(int32([0, 9]), 2, history);
  appendTokens(int32([5, 6]), history, lengths);
  await expect(history.data()).rejects.toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });

  // Two groups of beams write the tokens of one prompt, each its own rows.
  const tokens = int32([0, 0]);
  const sources = int32([0, 0]);
  for (const [firstRow, score] of [NaN, 1].entries()) {
    const state = {
      ...{ sums: tensor([0], [1, 1]), hypotheses: int32([0, 0, 0, 0], [1, 1, 4]), counts: int32([0]) },
      ...{ done: int32([0]), steps: int32([0]) },
    };
    beamStep(tensor([score, 0], [1, 2]), int32([0, 1], [1, 2]), state, {
      ...{ ends: int32([1]), tokens, sources, rowsPerProblem: 2, firstRow, padTokenId: 0 },
      ...{ earlyStopping: false, lengthPenalty: 1, maxSteps: 4 },
    });
  }
  await expect(tokens.data()).rejects.toMatchObject({ code: 'NO_CHOICE' });
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
