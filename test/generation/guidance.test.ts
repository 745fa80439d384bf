import { loadModel, type Model } from 'heddle';

// What JavaScript has a say in, and guidance, against plain formulas over forward().

let model: Model;
beforeAll(async () => {
  model = await loadModel('builtin:shakespeare', { dtype: 'float32' });
});
afterAll(() => model.dispose());

const ids = (text: string) => model.tokenizer!.encode(text);

/** ln p of the next token. */
async function logProbs(tokens: readonly number[]): Promise<number[]> {
  using logits = model.forward({ ids: [...tokens] }).logits;
  const row = [...(await logits.data())].slice(-model.vocabSize);
  const sum = Math.log(row.reduce((total, x) => total + Math.exp(x), 0));
  return row.map((x) => x - sum);
}
const best = (scores: readonly number[]) => scores.indexOf(Math.max(...scores));

test.each([
  ['the last token', undefined],
  ['a text', 'KING:\nNo'],
])('guidance away from %s', async (_, negativePrompt) => {
  const prompt = ids('ROMEO:\nI');
  const { tokens } = await model.generate('ROMEO:\nI', {
    guidanceScale: 2.5,
    negativePrompt,
    maxNewTokens: 12,
    doSample: false,
  });
  const negative = negativePrompt === undefined ? prompt.slice(-1) : ids(negativePrompt);
  const wanted: number[] = [];
  for (let step = 0; step < 12; ++step) {
    const [given, without] = [await logProbs([...prompt, ...wanted]), await logProbs([...negative, ...wanted])];
    wanted.push(best(given.map((x, i) => without[i]! + 2.5 * (x - without[i]!))));
  }
  expect(tokens).toEqual(wanted);
});

test('a guided batch, and with a processor of the user', async () => {
  const options = { guidanceScale: 1.5, maxNewTokens: 10, doSample: false };
  const batch = await model.generate(['ROMEO:\nI', 'What'], { ...options, negativePrompt: ['a', 'KING'] });
  expect(await model.generate('What', { ...options, negativePrompt: 'KING' })).toEqual(batch[1]);
  const same = await model.generate('What', { ...options, negativePrompt: 'KING', logitsProcessor: () => undefined });
  expect(same).toEqual(batch[1]);
});

test('a processor of the user sees the scores and the tokens so far, and changes them', async () => {
  const prompt = ids('ROMEO:\n');
  const seen: number[][] = [];
  const { tokens } = await model.generate('ROMEO:\n', {
    maxNewTokens: 6,
    doSample: false,
    logitsProcessor: [
      (scores, sofar, row) => {
        expect([scores.length, row]).toEqual([model.vocabSize, 0]);
        seen.push([...sofar]);
        scores.fill(0);
      },
      (scores, sofar) => (scores[sofar.length % 3] = 1),
    ],
  });
  expect(tokens).toEqual(Array.from({ length: 6 }, (_, i) => (prompt.length + i) % 3));
  expect(seen).toEqual(tokens.map((_, i) => [...prompt, ...tokens.slice(0, i)]));
});

test.each([
  ['mirostat', { mirostat: 2, seed: 3 }],
  ['XTC and warpers', { xtcProbability: 0.5, topP: 0.9, seed: 3 }],
  ['penalties', { repetitionPenalty: 1.3, noRepeatNgramSize: 2, doSample: false }],
  ['beams with penalties', { repetitionPenalty: 1.3, numBeams: 3, doSample: false }],
] as const)('a processor of the user that changes nothing changes nothing: %s', async (_, options) => {
  const plain = await model.generate('ROMEO:\n', { ...options, maxNewTokens: 25 });
  const same = await model.generate('ROMEO:\n', { ...options, maxNewTokens: 25, logitsProcessor: () => undefined });
  expect(same.tokens).toEqual(plain.tokens);
});

test.each([
  ['greedy search', { doSample: false }],
  ['sampling', { temperature: 1, seed: 3 }],
  ['beam search', { doSample: false, numBeams: 3 }],
  ['contrastive search', { penaltyAlpha: 0.5, topK: 3 }],
] as const)('only tokens that are allowed come: %s', async (_, options) => {
  const allowed = ids('aeiou \n');
  const { tokens } = await model.generate('ROMEO:\n', {
    ...options,
    maxNewTokens: 20,
    prefixAllowedTokensFn: (row, sofar) => {
      expect(row).toBe(0);
      return sofar.length % 2 === 0 ? allowed : allowed.slice(0, 3);
    },
  });
  expect(tokens.every((token) => allowed.includes(token))).toBe(true);
});

test.each([[['a']], [[-1]], [[1e9]], ['a'], [undefined]])('tokens that cannot be allowed: %p', async (wrong) => {
  const options = { maxNewTokens: 2, doSample: false, prefixAllowedTokensFn: () => wrong as never };
  await expect(model.generate('O', options)).rejects.toThrow(/prefixAllowedTokensFn\(\)/);
});

test('an error of the user’s processor is that of the call', async () => {
  const options = {
    maxNewTokens: 5,
    doSample: false,
    logitsProcessor: () => {
      throw new Error('mine');
    },
  };
  await expect(model.generate('O', options)).rejects.toThrow('mine');
  expect((await model.generate('O', { maxNewTokens: 5, doSample: false })).tokens).toHaveLength(5);
});

test('log-probabilities, entropy and the best tokens are those of the model', async () => {
  const prompt = ids('ROMEO:\n');
  const { tokens, logprobs } = await model.generate('ROMEO:\n', {
    maxNewTokens: 4,
    temperature: 0.5,
    topK: 3,
    seed: 1,
    logprobs: 3,
  });
  for (const [i, facts] of logprobs!.entries()) {
    const p = await logProbs([...prompt, ...tokens.slice(0, i)]);
    expect(facts.logProb).toBeCloseTo(p[tokens[i]!]!, 4);
    expect(facts.entropy).toBeCloseTo(-p.reduce((sum, x) => sum + Math.exp(x) * x, 0), 4);
    const order = [...p.keys()].sort((a, b) => p[b]! - p[a]!).slice(0, 3);
    expect(facts.alternatives.map(({ id }) => id)).toEqual(order);
    facts.alternatives.forEach(({ id, logProb }) => expect(logProb).toBeCloseTo(p[id]!, 4));
  }
});

test('inner tensors of the whole sequence', async () => {
  const prompt = ids('ROMEO:\n');
  const result = await model.generate('ROMEO:\n', {
    maxNewTokens: 5,
    doSample: false,
    capture: ['layers.0.attention.weights'],
  });
  const weights = result.captured!['layers.0.attention.weights']!;
  const length = prompt.length + 5;
  expect(weights.shape.slice(-2)).toEqual([length, length]);
  weights.dispose();
  expect([result.usage, result.timing.total >= result.timing.firstToken]).toEqual([
    { promptTokens: prompt.length, newTokens: 5 },
    true,
  ]);
});
