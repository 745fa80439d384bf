import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModel, scope, type Model } from '#lib/index';
import { writeRandomGpt2 } from '../support/random-gpt2';

const folder = mkdtempSync(path.join(tmpdir(), 'heddle-info-'));
let model: Model;
beforeAll(async () => {
  model = await loadModel('builtin:shakespeare', { device: 'cpu' });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true });
});

test('info of the 124M GPT-2: published sizes', async () => {
  writeRandomGpt2(folder, { width: 768, layers: 12, heads: 12, context: 1024, vocabulary: 50257 }, true);
  await using gpt2 = await loadModel(folder, { device: 'cpu', dtype: 'bfloat16' });
  const info = gpt2.info({ length: 1024, memory: 2 ** 30 });
  expect(info.parameters).toEqual({
    total: 124_439_808,
    embedding: 50257 * 768 + 1024 * 768,
    attention: 12 * (768 * 3 * 768 + 3 * 768 + 768 * 768 + 768),
    feedForward: 12 * (2 * 768 * 3072 + 3072 + 768),
    norm: 25 * 2 * 768,
    head: 0,
  });
  expect(info.weightBytes).toBe(2 * 124_439_808);
  expect(info.cacheBytesPerToken).toBe(2 * 12 * 768 * 2);
  // 2 a weight of the 12 blocks (84,934,656) and the head, 4 a pair and coordinate.
  expect(info.flops.perToken).toBe(2 * 84_934_656 + 2 * 50257 * 768 + 4 * 12 * 768 * 1024);
  expect(info.flops.prompt).toBe(2 * 84_934_656 * 1024 + 2 * 50257 * 768 + 4 * 12 * 768 * (1024 * 1025) / 2);
  const room = (2 ** 30 - info.weightBytes) / info.cacheBytesPerToken;
  expect(info.fits).toEqual({ batchAtLength: Math.floor(room / 1024), lengthAtBatch: Math.floor(room / 64) * 64 });
  expect(info.training.chinchillaTokens).toBe(20 * 124_439_808);
});

test('info without memory tells no fit; too little memory fits nothing', () => {
  expect(model.info().fits).toBeUndefined();
  expect(model.info({ memory: 1000 }).fits).toEqual({ batchAtLength: 0, lengthAtBatch: 0 });
});

test.each([[{ length: 0 }], [{ batch: 1.5 }], [{ memory: -1 }]])('info refuses %j', (options) => {
  expect(() => model.info(options)).toThrow(/\[Model.info\] (length|batch|memory) must be/);
});

test('score: alone, in a list, in pieces', async () => {
  const text = 'To be, or not to be, that is the question:\n'.repeat(5);
  const scored = await model.score(text);
  const { logits } = model.forward({ ids: scored.tokens });
  const values = await logits.data();
  const expected = scored.tokens.slice(1).map((id, i) => {
    const row = values.subarray(i * model.vocabSize, (i + 1) * model.vocabSize);
    const top = Math.max(...row);
    return row[id]! - top - Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
  });
  expect(scored.logprobs).toHaveLength(scored.tokens.length - 1);
  scored.logprobs.forEach((logprob, i) => {
    expect(logprob).toBeCloseTo(expected[i]!, 4);
  });
  expect(scored.total).toBeCloseTo(expected.reduce((sum, x) => sum + x, 0), 2);
  expect(scored.perplexity).toBeCloseTo(Math.exp(-scored.total / scored.logprobs.length), 6);
  expect(await model.score([text, 'x'])).toEqual([scored, expect.objectContaining({ logprobs: [], total: 0 })]);
});

test('score: called in a scope, which ends before it', async () => {
  writeRandomGpt2(folder, { width: 16, layers: 1, heads: 2, context: 600, vocabulary: 11 });
  const small = await loadModel(folder, { device: 'cpu' });
  const ids = Array.from({ length: 600 }, (_, i) => (i * i) % 11); // more than run at a time
  const expected = await small.score(ids);
  const [scored] = scope(() => [small.score(ids)] as const);
  expect(await scored).toEqual(expected);
  await small.dispose();
});

test('score: bad prompts, too long ones, an aborted signal, a disposed model', async () => {
  await expect(model.score('')).rejects.toThrow(/\[Model.score\] prompt has no tokens/);
  await expect(model.score('x'.repeat(300))).rejects.toThrow(/has 300 tokens but there are 256 positions/);
  await expect(model.score('to be', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  await expect(model.score('to be', { signal: 1 as unknown as AbortSignal })).rejects.toThrow(/signal must be/);
  const other = await loadModel('builtin:shakespeare', { device: 'cpu' });
  await other.dispose();
  await expect(other.score('to be')).rejects.toThrow(/disposed/);
});
