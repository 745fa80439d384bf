import { tensor } from '#lib/index';
import { readTokenReport, tokenReport, type TokenFacts } from '#lib/ops/token-report';
import { entropy, probabilities } from '../support/naive-processors';
import { Random } from '../support/random';

const int32 = (values: readonly number[]) => tensor(Int32Array.from(values));

async function report(rows: readonly (readonly number[])[], tokens: readonly number[], n: number) {
  const width = rows[0]!.length;
  using packed = tokenReport(tensor(Float32Array.from(rows.flat()), [rows.length, width]), int32(tokens), n);
  expect([packed.dtype, packed.shape]).toEqual(['int32', [rows.length, 2 + 2 * n]]);
  const words = await packed.data<Int32Array>();
  return rows.map((_, r) => readTokenReport(words.subarray(r * (2 + 2 * n), (r + 1) * (2 + 2 * n))));
}

function expectFacts(facts: TokenFacts, row: readonly number[], token: number, n: number): void {
  const p = probabilities(row);
  expect(facts.logProb).toBeCloseTo(Math.log(p[token]!), 5);
  expect(facts.entropy).toBeCloseTo(entropy(p), 5);
  const best = row
    .map((_, i) => i)
    .sort((a, b) => row[b]! - row[a]! || a - b)
    .slice(0, n);
  expect(facts.alternatives.map(({ id }) => id)).toEqual(best);
  facts.alternatives.forEach(({ id, logProb }) => {
    expect(logProb).toBeCloseTo(Math.log(p[id]!), 5);
  });
}

test.each([
  [1, 0],
  [1, 1],
  [6, 6],
  [50, 5],
  [3000, 20],
  [5000, 1000],
])('of %i tokens, %i alternatives', async (width, n) => {
  const random = new Random(width + n);
  const rows = Array.from({ length: 3 }, () => [...random.normals(width, 3)]);
  const tokens = rows.map(() => random.integer(width));
  (await report(rows, tokens, n)).forEach((facts, r) => {
    expectFacts(facts, rows[r]!, tokens[r]!, n);
  });
});

test('ties, dropped tokens, and rows without a softmax', async () => {
  const ties = [1, 3, 3, -Infinity, 3, 0];
  const bad = [0, NaN, 1, 2, 3, 4];
  const none = Array<number>(6).fill(-Infinity);
  const [first, dropped, ...others] = await report([ties, ties, bad, none], [1, 3, 0, 0], 6);
  expectFacts(first!, ties, 1, 6);
  expect(dropped!.logProb).toBe(-Infinity);
  for (const facts of others) {
    expect([facts.logProb, facts.entropy]).toEqual([NaN, NaN]);
    expect(facts.alternatives.map(({ id }) => id).sort()).toEqual([0, 1, 2, 3, 4, 5]);
  }
});

test('what does not fit', async () => {
  const x = tensor([1, 2, 3, 4], [2, 2]);
  expect(() => tokenReport(x, int32([0]), 0)).toThrow('[token_report] tokens must have shape [2]');
  expect(() => tokenReport(x, int32([0, 0]), 3)).toThrow('[token_report] alternatives must be from 0 to 2 but got 3');
  expect(() => tokenReport(x, int32([0, 0]), -1)).toThrow('[tokenReport] alternatives must be');
  await expect(tokenReport(x, int32([0, 2]), 1).data()).rejects.toMatchObject({
    code: 'INDEX_OUT_OF_RANGE',
    message: '[token_report] tokens[1] = 2 is outside the vocabulary of 2 tokens',
  });
});
