import { argmax, defaultDevice, sample, tensor, type SampleOptions } from '#lib/index';
import { softmax } from '../support/naive';
import { Random } from '../support/random';

// A simulated device takes its time.
const [rows, steps] = defaultDevice() === 'cpu' ? [2000, 4] : [400, 1];

/** How often each token of `logits` is drawn. */
async function frequencies(logits: readonly number[], options: SampleOptions): Promise<number[]> {
  const counts = logits.map(() => 0);
  using batch = tensor(Array.from({ length: rows }, () => logits).flat(), [rows, logits.length]);
  for (let step = 0; step < steps; ++step) {
    for (const token of await sample(batch, { seed: 7, step, ...options }).data()) counts[token]! += 1;
  }
  return counts.map((count) => count / (rows * steps));
}

/** Softmax of the logits that `keep` keeps. */
const probabilities = (logits: readonly number[], keep: readonly number[], temperature = 1) =>
  softmax(
    logits.map((x, i) => (keep.includes(i) ? x / temperature : -Infinity)),
    (x) => x,
  );

const logits = [1, 0, 2, -1, 2, -Infinity]; // softmax: 0.14 0.05 0.38 0.02 0.38 0
const all = [0, 1, 2, 3, 4, 5];
const draws: [options: SampleOptions, kept: number[]][] = [
  [{}, all],
  [{ temperature: 0.5 }, all],
  [{ temperature: 3 }, all],
  [{ topK: 1 }, [2, 4]], // what equals the k-th stays
  [{ topK: 3 }, [0, 2, 4]],
  [{ topK: 6 }, all],
  [{ topK: 100 }, all],
  [{ topP: 1e-6 }, [4]],
  [{ topP: 0.5 }, [2, 4]],
  [{ topP: 0.8 }, [0, 2, 4]],
  [{ topP: 0.95 }, [0, 1, 2, 4]],
  [{ topK: 3, topP: 0.8 }, [2, 4]], // topP counts what topK has left: 0.84 of it
  [{ topK: 3, topP: 0.9, temperature: 2 }, [0, 2, 4]],
];

test.each(draws)('draws with %j from tokens %j', async (options, kept) => {
  const expected = probabilities(logits, kept, options.temperature);
  const found = await frequencies(logits, options);
  // Five standard deviations.
  found.forEach((frequency, i) => {
    const deviation = Math.sqrt((expected[i]! * (1 - expected[i]!)) / (rows * steps));
    expect(Math.abs(frequency - expected[i]!)).toBeLessThanOrEqual(5 * deviation);
  });
});

test('the same seed, row and step give the same token; others give others', async () => {
  const random = new Random(1);
  const [rows, width] = [8, 500];
  using x = tensor(
    Float32Array.from(Array.from({ length: rows }, () => random.normals(width, 0.1)).flatMap((r) => [...r])),
    [rows, width],
  );
  const first = await sample(x, { seed: 3, step: 5 }).data();
  expect(await sample(x, { seed: 3, step: 5 }).data()).toEqual(first);
  const seeds = [4, 2 ** 32 + 3, 2 ** 53 - 1];
  for (const seed of seeds) expect(await sample(x, { seed, step: 5 }).data()).not.toEqual(first);
  expect(await sample(x, { seed: 3, step: 6 }).data()).not.toEqual(first);
  expect(await sample(x.slice(0, 0, 1), { seed: 3, step: 5 }).data()).toEqual(first.slice(0, 1));
});

test('the number drawn is Philox 4x32-10', async () => {
  // Known answer of the authors' test vectors for an all-zero key and counter: 6627e8d5 e169c58d …
  const uniform = Number((0x6627e8d5e169c58dn >> 11n) * 1n) / 2 ** 53;
  const width = 100_000; // equal logits: the token is the place in [0, 1)
  using token = sample(tensor(new Float32Array(width), [1, width]), { seed: 0, step: 0 });
  expect((await token.data())[0]).toBe(Math.floor(uniform * width));
});

test('one token, many tokens, and the best at a low temperature', async () => {
  expect(await sample(tensor([-3, 4], [2, 1])).data()).toEqual(new Int32Array(2));
  const x = new Random(4).normals(3 * 5000);
  using many = tensor(x, [3, 5000]);
  expect(await sample(many, { temperature: 1e-4 }).data()).toEqual(await argmax(many).data());
  expect(await sample(many, { topP: 1e-4 }).data()).toEqual(await argmax(many).data());
});

test('of a view, and of no rows', async () => {
  using x = tensor([-Infinity, 0, 0, -Infinity], [2, 2]);
  expect(await sample(x.transpose()).data()).toEqual(Int32Array.of(1, 0));
  expect(await sample(tensor([], [0, 4])).data()).toEqual(new Int32Array(0));
});

test.each([[[NaN, 0]], [[-Infinity, -Infinity]], [[Infinity, 0]]])('nothing can be drawn from %p', async (row) => {
  await expect(sample(tensor([0, 1, ...row], [2, 2])).data()).rejects.toMatchObject({
    name: 'RangeError',
    code: 'NO_CHOICE',
    message: expect.stringContaining('[sample] the logits of row 1') as string,
  });
});
