// An encoder-decoder at work: written dates to ISO 8601, with beams and cross-attention.
//
//   node examples/dates.mjs "am 3. Maerz 2021" attention.svg
import { writeFileSync } from 'node:fs';
import { attentionMap, loadModel, mean, scope } from 'heddle';

const [text = 'Wednesday, the 3rd of Mrach 2021', file] = process.argv.slice(2);
const model = await loadModel('builtin:dates', { dtype: 'float32' });

const beams = await model.generate(text, { numBeams: 4, numReturnSequences: 4 });
for (const { text: date, score } of beams) console.log(date, score.toFixed(3));

// What the decoder looked at when it wrote each character: the weights of its last layer, the mean over heads.
const path = 'decoder.layers.1.crossAttention.weights';
const { tokens, captured } = await model.generate(text, { capture: [path] });
const names = (ids) => ids.map((id) => model.tokenizer.idToToken(id));
const [queries, keys] = [names(tokens), names(model.tokenizer.encode(text))];
// The row of a token gives the next one, so the end token's is left out.
const weights = scope(() => mean(captured[path], { axis: 1 }).slice(1, 0, queries.length));

const values = await weights.data();
const shade = (weight) => ' ░▒▓█'[Math.min(4, Math.floor(6 * weight))];
console.log(`\n${' '.repeat(6)}${keys.map((key) => (key.length > 1 ? '⏎' : key)).join('')}`);
for (const [i, query] of queries.entries()) {
  const row = values.subarray(i * keys.length, (i + 1) * keys.length);
  console.log(query.padEnd(5), Array.from(row, shade).join(''));
}
if (file) writeFileSync(file, await attentionMap(weights, queries, { keyTokens: keys, title: text }).toSVG());
await model.dispose();
