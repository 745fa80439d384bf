import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { loadModel, memory, scope, sync, type Model } from 'heddle';
import { writeRandomGpt2 } from '../support/random-gpt2';

// What a folder's files say, and what it takes to ignore, obey or refuse them.

const CONTEXT = 32;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'heddle-defaults-'));
  writeRandomGpt2(folder, { width: 32, layers: 1, heads: 2, context: CONTEXT, vocabulary: 90 });
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const write = (file: string, value: unknown) => {
  writeFileSync(path.join(folder, file), typeof value === 'string' ? value : JSON.stringify(value));
};
const config = () => JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
async function withModel<T>(body: (model: Model) => Promise<T>): Promise<T> {
  await using model = await loadModel(folder);
  return await body(model);
}
const count = (prompt: number[], options = {}) =>
  withModel(async (model) => (await model.generate(prompt, options)).tokens.length);

test('lengths of the folder are cut to what the context has room for', async () => {
  expect(await count([1, 2])).toBe(CONTEXT - 2);
  write('generation_config.json', { max_new_tokens: 5 });
  expect(await count([1, 2])).toBe(5);
  write('generation_config.json', { max_new_tokens: 500, transformers_version: '4', bos_token_id: null });
  expect(await count([1, 2])).toBe(CONTEXT - 1);
  write('generation_config.json', { max_length: 3 });
  expect(await count([1, 2])).toBe(1);
  expect(await count([1, 2, 3, 4])).toBe(CONTEXT - 4);
});

test('lengths of the caller must fit; the last token needs no position', async () => {
  const full = Array.from({ length: CONTEXT }, (_, i) => i);
  expect(await count(full, { maxNewTokens: 1 })).toBe(1);
  expect(await count(full)).toBe(1);
  await expect(count(full, { maxNewTokens: 2 })).rejects.toThrow(/maxNewTokens must be at most 1/);
  await expect(count([...full, 1])).rejects.toThrow(/33 tokens does not fit/);
  await expect(count([1, 2], { maxLength: 2 })).rejects.toThrow(/maxLength/);
});

test('ids outside the vocabulary never come', async () => {
  write('config.json', { ...config(), eos_token_id: 50256, bos_token_id: 50256, pad_token_id: -1 });
  expect(await count([1], { maxNewTokens: 4 })).toBe(4);
  await expect(count([1], { eosTokenId: 50256 })).rejects.toThrow(/eosTokenId/);
});

test('sampling of the folder counts only where it samples', async () => {
  const same = () =>
    withModel(async (model) => {
      const [a, b] = [await model.generate([1]), await model.generate([1])];
      return a.tokens.join() === b.tokens.join();
    });
  write('generation_config.json', { temperature: 50, top_k: 0 });
  expect(await same()).toBe(true);
  write('generation_config.json', { do_sample: true, temperature: 50, top_k: 0 });
  expect(await same()).toBe(false);
  expect(await count([1], { doSample: false, maxNewTokens: 2 })).toBe(2);
});

test.each([
  [{ top_p: 2, do_sample: true }, /topP/],
  [{ max_new_tokens: 'x' }, /max_new_tokens/],
  [{ eos_token_id: 'x' }, /eos_token_id/],
])('a wrong value is refused when loading: %j', async (generation, message) => {
  write('generation_config.json', generation);
  const before = memory().live;
  await expect(loadModel(folder)).rejects.toThrow(message);
  await sync();
  expect(memory().live).toBeLessThanOrEqual(before);
});

test('active settings that are not there are told', async () => {
  write('generation_config.json', { watermarking_config: {}, repetition_penalty: 1.0 });
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  await count([1], { maxNewTokens: 1 });
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]?.[0]).toContain('sets watermarking_config,');
  warn.mockRestore();
});

describe('folders that are no model', () => {
  test.each([
    ['no config.json', { 'config.json': undefined }, { code: 'FILE_NOT_FOUND' }],
    ['a config that is not JSON', { 'config.json': '{' }, RangeError],
    ['another architecture', { 'config.json': { architectures: ['Nobody'] } }, /Nobody/],
    ['no weights', { 'model.safetensors': undefined }, { code: 'FILE_NOT_FOUND' }],
    ['weights that are cut off', { 'model.safetensors': 'short' }, { code: 'INVALID_SAFETENSORS' }],
    ['a width that does not divide', { n_head: 3 }, /n_embd 32/],
    ['other shapes than the config', { n_layer: 2 }, /h\.1\./],
    ['another vocabulary', { vocab_size: 91 }, /wte.weight must have shape \[91, 32\]/],
  ])('%s', async (_, change, error) => {
    for (const [key, value] of Object.entries(change)) {
      if (!key.includes('.')) write('config.json', { ...config(), [key]: value as unknown });
      else if (value === undefined) rmSync(path.join(folder, key));
      else write(key, value);
    }
    const before = memory().live;
    const loading = loadModel(folder);
    await (typeof error === 'function' || error instanceof RegExp
      ? expect(loading).rejects.toThrow(error)
      : expect(loading).rejects.toMatchObject(error));
    await sync();
    expect(memory().live).toBeLessThanOrEqual(before);
  });
});

test('config variants: n_inner null, an untied head', async () => {
  write('config.json', { ...config(), n_inner: null, scale_attn_by_inverse_layer_idx: true });
  expect(await count([1], { maxNewTokens: 2 })).toBe(2);
  write('config.json', { ...config(), tie_word_embeddings: false });
  await expect(loadModel(folder)).rejects.toThrow(/lm_head.weight/);
});

test('prompts: unknown keys, ids outside the vocabulary, seeds that are null', async () => {
  await withModel(async (model) => {
    const prompt = { ids: [1, 2], attentionMask: [0, 1] };
    await expect(model.generate(prompt)).rejects.toThrow(/attentionMask/);
    await expect(model.generate([1, 90])).rejects.toThrow(/prompt\[1\]/);
    await expect(model.generate([1], { seed: null as unknown as number })).rejects.toThrow(TypeError);
    await expect(model.generate([1], { padTokenId: null as unknown as number })).rejects.toThrow(TypeError);
    await expect(model.generate('text')).rejects.toThrow(/no tokenizer/);
    expect(() => model.stream([1], { topP: 3 })).toThrow(RangeError);
  });
});

test('generation begun inside a scope keeps its tensors', async () => {
  await withModel(async (model) => {
    let running: Promise<{ tokens: number[] }> | undefined;
    scope(() => {
      running = model.generate([1], { maxNewTokens: 5 });
    });
    expect((await running!).tokens).toHaveLength(5);
    expect(() => scope(() => model.generate([1]))).toThrow(TypeError);
  });
});

test('three hundred at once', async () => {
  await withModel(async (model) => {
    const one = await model.generate([3, 4], { maxNewTokens: 6 });
    const all = await Promise.all(Array.from({ length: 300 }, () => model.generate([3, 4], { maxNewTokens: 6 })));
    for (const result of all) expect(result).toEqual(one);
  });
});
