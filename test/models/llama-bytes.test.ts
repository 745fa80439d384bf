import * as path from 'node:path';
import { loadModel, setNumThreads } from 'heddle';
import { FLOATS } from '../support/dtype';

// The byte test for grouped heads and rotary positions: tokens and logits of a prompt alone and among others.

const folder = path.resolve('test/fixtures/models/llama-gqa');
const prompts = [60, 1, 33, 64].map((length, b) => Array.from({ length }, (_, i) => (i * 5 + b * 17) % 113));

afterAll(() => {
  setNumThreads(2);
});

test.each(FLOATS)('%s: a prompt alone, in a batch, with 1, 2 and 4 threads, whole or in chunks', async (dtype) => {
  await using model = await loadModel(folder, { dtype });
  const options = { maxNewTokens: 40, seed: [1, 2, 3, 4], temperature: 0.8 };
  const alone: number[][] = [];
  for (const [b, prompt] of prompts.entries()) {
    alone.push((await model.generate(prompt, { ...options, seed: [b + 1] })).tokens);
  }
  const logits = await model.forward({ ids: prompts[0]! }).logits.data();
  for (const threads of [1, 2, 4]) {
    setNumThreads(threads);
    for (const prefillChunkSize of [128, 13]) {
      const batch = await model.generate(prompts, { ...options, prefillChunkSize });
      expect(batch.map(({ tokens }) => tokens)).toEqual(alone);
    }
    const mask = [Array.from({ length: 60 }, () => 1), Array.from({ length: 60 }, (_, i) => Number(i < 33))];
    const both = await model.forward({ ids: [prompts[0]!, [...prompts[2]!, ...new Array<number>(27).fill(0)]], mask })
      .logits.data();
    expect(both.subarray(0, logits.length)).toEqual(logits);
  }
});
