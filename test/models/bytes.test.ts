import * as path from 'node:path';
import { defaultDevice, loadModel, scope, setNumThreads, tensor, type Model } from 'heddle';
import { loadNetwork, readConfig } from '#lib/models/load';
import type { Decoder } from '#lib/nn/decoder';
import { FLOATS } from '../support/dtype';

// Idea 6 of the design: a prompt gives the same bytes alone, in a batch, with any threads, whole or in chunks.

const folder = path.resolve('models/shakespeare');
const text = 'O Romeo, Romeo! wherefore art thou Romeo?\nDeny thy father and refuse thy name;\n'.repeat(3);
const prompts = [200, 1, 77, 64, 130, 9, 65, 40].map((length) => text.slice(0, length));

const bytes = (array: ArrayBufferView) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

describe.each(FLOATS)('%s: one prompt, however it is run', (dtype) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(folder, { dtype });
  });
  afterEach(() => {
    setNumThreads(2);
  });
  afterAll(() => model.dispose());

  test('logits: alone, in a batch of 8, with 1, 2 and 4 threads', async () => {
    const rows = prompts.map((prompt) => model.tokenizer!.encode(prompt));
    const longest = Math.max(...rows.map((row) => row.length));
    const ids = rows.map((row) => [...row, ...new Array<number>(longest - row.length).fill(0)]);
    const mask = rows.map((row) => Array.from({ length: longest }, (_, i) => (i < row.length ? 1 : 0)));
    for (const threads of [1, 2, 4]) {
      setNumThreads(threads);
      const batch = await model.forward({ ids, mask }).logits.data();
      for (const [b, row] of rows.entries()) {
        const alone = await model.forward({ ids: row }).logits.data();
        const begin = b * longest * model.vocabSize;
        expect(bytes(batch.subarray(begin, begin + alone.length)).equals(bytes(alone))).toBe(true);
      }
    }
  });

  test.each([{}, { temperature: 0.9, topP: 0.9, topK: 30 }])('tokens, with %j', async (sampling) => {
    const seeds = prompts.map((_, b) => 100 + b);
    const seeded = (seed: number | number[]) => ('temperature' in sampling ? { ...sampling, seed } : { doSample: false });
    const options = { maxNewTokens: 40 };
    const alone: number[][] = [];
    for (const [b, prompt] of prompts.entries()) {
      alone.push((await model.generate(prompt, { ...options, ...seeded([seeds[b]!]) })).tokens);
    }
    for (const threads of [1, 2, 4]) {
      for (const prefillChunkSize of [256, 64, 7]) {
        setNumThreads(threads);
        const batch = await model.generate(prompts, { ...options, ...seeded(seeds), prefillChunkSize });
        expect(batch.map(({ tokens }) => tokens)).toEqual(alone);
      }
    }
  });
});

test.each(FLOATS)('%s: logits of a prompt in chunks of 1, 7 and 64, and by single steps', async (dtype) => {
  const decoder = (await loadNetwork(folder, await readConfig(folder), defaultDevice(), { dtype })) as Decoder;
  const ids = Int32Array.from({ length: 200 }, (_, i) => (i * 7) % 65);
  const run = async (chunk: number): Promise<Buffer> => {
    using cache = decoder.createCache(1, ids.length);
    const parts: Buffer[] = [];
    for (let begin = 0; begin < ids.length; begin += chunk) {
      const piece = ids.subarray(begin, begin + chunk);
      const { logits } = scope(() =>
        decoder.forward({
          ids: tensor(piece),
          positions: tensor(piece.map((_, i) => begin + i)),
          cuSeqlens: tensor(Int32Array.of(0, piece.length)),
          cache,
        }),
      );
      parts.push(bytes(await logits.data()));
      logits.dispose();
    }
    return Buffer.concat(parts);
  };
  const whole = await run(ids.length);
  for (const chunk of [64, 7, 1]) expect((await run(chunk)).equals(whole)).toBe(true);
  decoder[Symbol.dispose]();
});
