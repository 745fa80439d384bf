import * as path from 'node:path';
import { loadModel, type GenerationOptions, type Model } from 'heddle';
import { fixtures } from '../support/fixtures';

// Rows that end drop out of the batch between steps: those that go on give what they give alone.

const PROMPTS = ['ROMEO:\n', 'JULIET:\nO', 'First Citizen:\nBefore we proceed', 'K', 'MENENIUS:\nWhat', 'All:\n'];

describe('a decoder', () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel('builtin:shakespeare');
  });
  afterAll(() => model.dispose());

  const variants: [name: string, options: GenerationOptions][] = [
    ['greedy', { doSample: false }],
    ['sampled', { temperature: 0.9, topP: 0.9 }],
    ['with penalties and mirostat', { repetitionPenalty: 1.2, mirostat: 2, minNewTokens: 4 }],
    ['with log-probabilities', { doSample: false, logprobs: 2 }],
    ['with scores', { doSample: false, returnScores: true }],
    ['with a processor of the user', { doSample: false, logitsProcessor: (scores) => (scores[1] = -Infinity) }],
  ];
  test.each(variants)('%s: alone and in a batch of six that end one by one', async (_, options) => {
    const all: GenerationOptions = { maxNewTokens: 120, stopStrings: [':', '\n\n', 'the'], ...options };
    const seeds = PROMPTS.map((_, i) => 100 + i);
    const draws = options.doSample !== false;
    const batch = await model.generate(PROMPTS, { ...all, ...(draws && { seed: seeds }) });
    expect(new Set(batch.map(({ tokens }) => tokens.length)).size).toBeGreaterThan(2);
    for (const [i, prompt] of PROMPTS.entries()) {
      expect(await model.generate(prompt, { ...all, ...(draws && { seed: seeds[i]! }) })).toEqual(batch[i]);
    }
  });

  test('several of one prompt', async () => {
    const options = { maxNewTokens: 100, stopStrings: ['\n', 'e'], seed: 5, temperature: 1, numReturnSequences: 5 };
    const many = await model.generate('ROMEO:\n', options);
    const more = await model.generate('ROMEO:\n', { ...options, numReturnSequences: 7 });
    expect(more.slice(0, 5)).toEqual(many);
  });

  test('the best of several has the best mean log-probability', async () => {
    const mean = (tokens: readonly { logProb: number }[]) =>
      tokens.reduce((sum, { logProb }) => sum + logProb, 0) / tokens.length;
    const options = { maxNewTokens: 30, seed: 5, temperature: 1, logprobs: 0 };
    const all = await model.generate('ROMEO:\n', { ...options, numReturnSequences: 6 });
    const best = await model.generate('ROMEO:\n', { ...options, numReturnSequences: 2, bestOf: 6 });
    const sorted = [...all].sort((a, b) => mean(b.logprobs!) - mean(a.logprobs!));
    expect(best).toEqual(sorted.slice(0, 2));
    const one = await model.generate('ROMEO:\n', { maxNewTokens: 30, seed: 5, temperature: 1, bestOf: 6 });
    expect(one.tokens).toEqual(best[0]!.tokens);
    expect(one.logprobs).toBeUndefined();
  });

  test('time: no step begins behind it', async () => {
    const { finishReason, tokens } = await model.generate('ROMEO:\n', { maxTime: 1e-4, doSample: false });
    expect(finishReason).toBe('time');
    expect(tokens.length).toBeGreaterThan(0);
    expect(tokens.length).toBeLessThan(model.contextLength - 7);
    const [beam] = await model.generate(['ROMEO:\n'], { maxTime: 1e-4, doSample: false, numBeams: 3 });
    expect(beam!.finishReason).toBe('time');
  });
});

test('an encoder-decoder: sources of rows that end drop out, too', async () => {
  await using model = await loadModel(path.join(fixtures, 'models/t5'));
  const sources = [[5, 17, 30, 2], [9, 9, 40, 41, 42, 43, 7], [3], [60, 61, 62, 63, 64]];
  const options = {
    maxNewTokens: 40,
    eosTokenId: [23, 52, 68, 5],
    padTokenId: 0,
    repetitionPenalty: 1.3,
    encoderRepetitionPenalty: 1.2,
  };
  const batch = await model.generate(sources, options);
  expect(new Set(batch.map(({ tokens }) => tokens.length)).size).toBeGreaterThan(1);
  for (const [i, source] of sources.entries()) expect(await model.generate(source, options)).toEqual(batch[i]);
});
