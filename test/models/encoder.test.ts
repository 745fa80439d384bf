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
