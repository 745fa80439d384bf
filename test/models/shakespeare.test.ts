import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { loadModel, logSoftmax, scope } from 'heddle';

const data = process.env.HEDDLE_DATA ?? path.resolve('../shared/data');
const file = path.join(data, 'tinyshakespeare/input.txt');

/** What the trainer printed: nats per character of the last 10 %, windows of the context. */
const TRAINERS_LOSS = 1.4458744;

(existsSync(file) ? test : test.skip)('shakespeare: the trainer’s validation loss', async () => {
  await using model = await loadModel('builtin:shakespeare', { dtype: 'float32' });
  const text = readFileSync(file, 'utf8');
  const ids = model.tokenizer!.encode(text.slice(Math.floor(0.9 * text.length)));
  const window = model.contextLength;
  const whole = Math.floor((ids.length - 1) / window);
  let total = 0;
  const measure = async (rows: number[][], targets: number[]) => {
    const scores = scope(() => logSoftmax(model.forward({ ids: rows }).logits));
    const values = await scores.data();
    scores.dispose();
    targets.forEach((target, i) => (total -= values[i * model.vocabSize + target]!));
  };
  for (let first = 0; first < whole; first += 16) {
    const last = Math.min(whole, first + 16);
    const rows = Array.from({ length: last - first }, (_, i) => ids.slice((first + i) * window, (first + i + 1) * window));
    await measure(rows, ids.slice(first * window + 1, last * window + 1));
  }
  await measure([ids.slice(whole * window, -1)], ids.slice(whole * window + 1));
  expect(Math.abs(total / (ids.length - 1) - TRAINERS_LOSS)).toBeLessThan(1e-3);
});

test('shakespeare: text comes piece by piece, and the same for a seed', async () => {
  await using model = await loadModel('builtin:shakespeare', { dtype: 'float32' });
  const options = { maxNewTokens: 60, temperature: 0.8, topP: 0.95, seed: 7 };
  const whole = await model.generate('ROMEO:\n', options);
  const pieces: string[] = [];
  for await (const piece of model.stream('ROMEO:\n', options)) pieces.push(piece.text);
  expect(pieces.join('')).toBe(whole.text);
  expect(whole.tokens).toHaveLength(60);
  expect(whole.finishReason).toBe('length');
  const other = await model.generate('ROMEO:\n', { ...options, seed: 8 });
  expect(other.text).not.toBe(whole.text);
});
