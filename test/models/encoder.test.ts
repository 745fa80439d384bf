import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModel } from 'heddle';
import { SafetensorsFile } from '#lib/weights/safetensors';
import { expectClose, MODELS } from '../support/compare';
import { fixtureNames, fixtures } from '../support/fixtures';

// What the fixtures of encoders do not show.

const folderOf = (name: string) => path.join(fixtures, 'models', name);
const names = fixtureNames('models');
const ids = [
  [5, 6, 7, 8],
  [9, 10, 11, 0],
];
const mask = [
  [1, 1, 1, 1],
  [1, 1, 1, 0],
];

/** Runs a test on a copy of a fixture with some of its config changed. */
async function withConfig(name: string, changes: object, body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-encoder-'));
  try {
    cpSync(folderOf(name), folder, { recursive: true });
    const file = path.join(folder, 'config.json');
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...changes }));
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const bertTest = names.includes('bert') && names.includes('bert-base-pooler') ? test : test.skip;

bertTest('an encoder keeps no keys, so it has no choice of their dtype', async () => {
  const wanted = '[loadModel] cacheDtype is for models that keep keys and values: BertForMaskedLM keeps none';
  await expect(loadModel(folderOf('bert'), { cacheDtype: 'int8', device: 'cpu' })).rejects.toThrow(wanted);
});

bertTest('an encoder cannot generate, and says so', async () => {
  await using model = await loadModel(folderOf('bert'));
  const wanted = /BertForMaskedLM is an encoder/;
  await expect(model.generate([1, 2])).rejects.toThrow(wanted);
  await expect(model.score([1, 2])).rejects.toThrow(wanted);
  expect(() => model.stream([1, 2])).toThrow(wanted);
  expect(() => model.info()).toThrow(wanted);
});

bertTest('a model without logits says what it gives', async () => {
  await using model = await loadModel(folderOf('bert-base-pooler'));
  const { lastHiddenState, poolerOutput } = model.forward({ ids, mask });
  expect([lastHiddenState?.shape, poolerOutput?.shape]).toEqual([
    [2, 4, 48],
    [2, 48],
  ]);
  expect(() => model.forward({ ids }).logits).toThrow(
    new TypeError('[Model.forward] BertModel has no logits: it gives lastHiddenState and poolerOutput'),
  );
});

bertTest('kinds of tokens are checked; a decoder has none', async () => {
  await using model = await loadModel(folderOf('bert'));
  expect(() => model.forward({ ids, tokenTypes: [0, 1] })).toThrow(/tokenTypes must be of the shape of ids \[2, 4\]/);
  expect(() => model.forward({ ids: [1, 2], tokenTypes: [0, 2] })).toThrow(/tokenTypes\[1\].* from 0 to 1 but got 2/);
  expect(() => model.forward({ ids: new Array<number>(49).fill(1) })).toThrow(/from 1 to 48/);
  await using decoder = await loadModel('builtin:shakespeare');
  expect(() => decoder.forward({ ids: [1, 2], tokenTypes: [0, 1] })).toThrow(/unknown option "tokenTypes"/);
});

bertTest('padding on either side changes nothing for the tokens', async () => {
  await using model = await loadModel(folderOf('bert'));
  const alone = await model.forward({ ids: [9, 10, 11], positions: [1, 2, 3] }).logits.data();
  for (const [row, places, begin] of [
    [[9, 10, 11, 0], [1, 2, 3, 0], 0],
    [[0, 9, 10, 11], [0, 1, 2, 3], 1],
  ] as const) {
    const { logits } = model.forward({ ids: row, positions: places, mask: row.map((id) => Number(id !== 0)) });
    expectClose(await logits.slice(1, begin, begin + 3).data(), alone, { abs: 1e-6, rel: 1e-6 });
  }
});

(names.includes('bert-relative-key') ? test : test.skip)('relative_key_query: the plain formula', async () => {
  await withConfig('bert-relative-key', { position_embedding_type: 'relative_key_query' }, async (folder) => {
    await using model = await loadModel(folder, { dtype: 'float32' });
    const [q, k, weights] = ['q', 'k', 'weights'].map((name) => `layers.1.attention.${name}`) as [string, string, string];
    const { captured } = model.forward({ ids, mask, capture: [q, k, weights] });
    const actual = await captured[weights]!.data();
    const [queries, keys] = [await captured[q]!.data(), await captured[k]!.data()];
    const [heads, width, reach] = [2, 20, 48];
    const file = path.join(folder, 'model.safetensors');
    using header = new SafetensorsFile(file);
    const name = 'bert.encoder.layer.1.attention.self.distance_embedding.weight';
    const { begin, end } = header.entries.get(name)!;
    const raw = Uint8Array.from(readFileSync(file).subarray(header.dataStart + begin, header.dataStart + end));
    const table = new Float32Array(raw.buffer);
    const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number) =>
      Array.from({ length: width }, (_, d) => a[i + d]! * b[j + d]!).reduce((sum, x) => sum + x, 0);
    const expected: number[] = [];
    for (const [b, row] of mask.entries()) {
      for (let h = 0; h < heads; ++h) {
        for (let i = 0; i < 4; ++i) {
          const at = (token: number) => ((b * 4 + token) * heads + h) * width;
          const scores = row.map((real, j) => {
            const vector = (i - j + reach - 1) * width;
            const score = dot(queries, at(i), keys, at(j)) + dot(queries, at(i), table, vector) + dot(keys, at(j), table, vector);
            return real ? Math.exp(score / Math.sqrt(width)) : 0;
          });
          const sum = scores.reduce((total, x) => total + x, 0);
          expected.push(...scores.map((score) => score / sum));
        }
      }
    }
    expectClose(actual, expected, MODELS);
  });
});

const longformerTest = names.includes('longformer') ? test : test.skip;

longformerTest('a sequence with fewer global tokens than its neighbour gives what it gives alone', async () => {
  await using model = await loadModel(folderOf('longformer'), { dtype: 'float32' });
  const row = Array.from({ length: 20 }, (_, i) => 5 + i);
  const [few, more] = [row.map((_, i) => Number(i === 2)), row.map((_, i) => Number(i === 0 || i === 11))];
  const alone = await model.forward({ ids: row, globalMask: few }).logits.data();
  const both = model.forward({ ids: [row, row], globalMask: [more, few] }).logits;
  expectClose(await both.slice(0, 1, 2).data(), alone, { abs: 1e-6, rel: 1e-6 });
  const padded = model.forward({ ids: [...row, 1, 1], mask: [...row.map(() => 1), 0, 0], globalMask: [...few, 0, 1] });
  expectClose(await padded.logits.slice(1, 0, 20).data(), alone, { abs: 1e-6, rel: 1e-6 });
});

longformerTest('rows of weights add up to 1, global tokens counted once; bad masks are told', async () => {
  await using model = await loadModel(folderOf('longformer'), { dtype: 'float32' });
  const row = Array.from({ length: 13 }, (_, i) => 5 + i);
  const globalMask = row.map((_, i) => Number(i === 3));
  const [near, far] = ['layers.1.attention.weights', 'layers.1.attention.globalWeights'] as const;
  const { captured } = model.forward({ ids: row, globalMask, capture: [near, far] });
  expect([captured[near]!.shape, captured[far]!.shape]).toEqual([
    [1, 3, 13, 10],
    [1, 3, 16, 1],
  ]);
  const weights = await captured[near]!.data();
  const sums = Array.from({ length: 3 * 13 }, (_, r) => weights.slice(r * 10, r * 10 + 10).reduce((sum, x) => sum + x, 0));
  const wanted = sums.map((_, r) => Number(r % 13 !== 3));
  expectClose(sums, wanted, { abs: 1e-6, rel: 0 });
  expect(model.forward({ ids: row, capture: [far] }).captured[far]!.shape).toEqual([1, 3, 16, 0]);
  expect(() => model.forward({ ids: row, globalMask: [1] })).toThrow(/globalMask must be of the shape of ids \[1, 13\]/);
  expect(() => model.forward({ ids: row, globalMask: row })).toThrow(/globalMask\[0\]/);
  expect(() => model.forward({ ids: new Array<number>(69).fill(2) })).toThrow(/from 1 to 68/);
});

longformerTest('configs that cannot be', async () => {
  for (const [changes, message] of [
    [{ attention_window: 5 }, /attention_window must be even and at least 2 but is 5/],
    [{ attention_window: [4] }, /attention_window must be 2 finite numbers/],
    [{ pad_token_id: -1 }, /pad_token_id must be a whole number/],
    [{ num_attention_heads: 5 }, /hidden_size must be a multiple of num_attention_heads 5 but is 48/],
  ] as const) {
    await withConfig('longformer', changes, async (folder) => {
      await expect(loadModel(folder)).rejects.toThrow(message);
    });
  }
});
