import { readFileSync } from 'node:fs';
import { loadModel, mean, type Model } from 'heddle';

// The built-in encoder-decoder: written dates to ISO 8601. The pairs are those that tools/train/dates.py held out.

const heldOut = JSON.parse(readFileSync('test/models/dates.json', 'utf8')) as [text: string, date: string][];

const byHand: [text: string, date: string][] = [
  ['3rd of Mrach 2021', '2021-03-03'],
  ['March 3, 2021', '2021-03-03'],
  ['the third of March, 2021', '2021-03-03'],
  ['Wednesday, 3 March 2021', '2021-03-03'],
  ['3/4/2021', '2021-03-04'],
  ['25/12/1999', '1999-12-25'],
  ['20210303', '2021-03-03'],
  ['2021-03-03', '2021-03-03'],
  ['4TH OF JULY 1776', '1776-07-04'],
  ["Sept. 30th '68", '2068-09-30'],
  ["Sept. 30th '69", '1969-09-30'],
  ['29feb2000', '2000-02-29'],
  ['3.4.2021', '2021-04-03'],
  ['3. März 2021', '2021-03-03'],
  ['3. Maerz 2021', '2021-03-03'],
  ['Mittwoch, den 3. Mräz 2021', '2021-03-03'],
  ['am einunddreißigsten Dezember 1999', '1999-12-31'],
  ['9. XI. 1989', '1989-11-09'],
  ['24.12.24', '2024-12-24'],
  ['1. Jänner 1950', '1950-01-01'],
];
const texts = byHand.map(([text]) => text);
const dates = byHand.map(([, date]) => date);

let model: Model;
beforeAll(async () => {
  model = await loadModel('builtin:dates', { dtype: 'float32' });
});
afterAll(() => model.dispose());

test('held-out pairs: at least 99.5 % exact', async () => {
  expect(new Set(heldOut.map(([text]) => text.toLowerCase())).size).toBe(2000);
  let exact = 0;
  for (let first = 0; first < heldOut.length; first += 500) {
    const some = heldOut.slice(first, first + 500);
    const found = await model.generate(some.map(([text]) => text));
    exact += some.filter(([, date], i) => found[i]!.text === date).length;
  }
  expect(exact / heldOut.length).toBeGreaterThanOrEqual(0.995);
});

test('pairs by hand, alone and together', async () => {
  const together = await model.generate(texts);
  expect(together.map(({ text }) => text)).toEqual(dates);
  expect(together.every(({ finishReason }) => finishReason === 'eos')).toBe(true);
  const alone = await Promise.all(texts.map((text) => model.generate(text)));
  expect(alone).toEqual(together);
});

test('umlauts of two code points, and what it has no token for', async () => {
  const [decomposed, unknown] = await model.generate(['3. Ma\u0308rz 2021', '☃']);
  expect(decomposed!.text).toBe('2021-03-03');
  expect(model.tokenizer!.encode('☃')).toEqual([2, 1]);
  expect(unknown!.tokens.length).toBeLessThanOrEqual(11);
});

test('four beams: best first, and the best is what greedy search finds', async () => {
  const beams = await model.generate(texts, { numBeams: 4, numReturnSequences: 4 });
  expect(beams).toHaveLength(4 * texts.length);
  texts.forEach((_, i) => {
    const four = beams.slice(4 * i, 4 * i + 4);
    const scores = four.map(({ score }) => score!);
    expect(four[0]!.text).toBe(dates[i]);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(new Set(four.map(({ text }) => text)).size).toBe(4);
  });
});

test('cross-attention: what each character of the date looks at', async () => {
  const path = 'decoder.layers.1.crossAttention.weights';
  const text = 'Wednesday, 3 March 2021';
  const { tokens, captured } = await model.generate(text, { capture: [path] });
  const weights = captured![path]!;
  const keys = text.length + 1; // </s>
  expect(weights.shape).toEqual([1, 4, tokens.length + 1, keys]);
  const overHeads = mean(weights, { axis: 1 });
  const values = await overHeads.data();
  for (const tensor of [weights, overHeads]) tensor.dispose();
  const rows = Array.from({ length: tokens.length + 1 }, (_, r) => [...values.subarray(r * keys, (r + 1) * keys)]);
  for (const row of rows) expect(row.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 5);
  // Where a row looks most: at the word, or the space before it.
  const parts = [
    { word: ' 2021', characters: [0, 1, 2, 3] },
    { word: ' March', characters: [5, 6] },
    { word: ' 3 ', characters: [8, 9] },
  ];
  for (const { word, characters } of parts) {
    const begin = text.indexOf(word);
    for (const i of characters) {
      const at = rows[i]!.indexOf(Math.max(...rows[i]!));
      expect([word, i, at >= begin && at < begin + word.length]).toEqual([word, i, true]);
    }
  }
});
