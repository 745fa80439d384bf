// Scaled dot-product attention by hand and by heddle, on three tokens of two dimensions each:
//
//   node --experimental-strip-types examples/attention-tutorial.ts     (Node 22.6 or later)
//
// The numbers are those of torch.randn after torch.manual_seed(42), as tutorials use them.
import { attention, mask, tensor } from 'heddle';

const show = (title: string, rows: readonly (readonly number[])[]): void => {
  console.log(title);
  for (const row of rows) console.log(' ', row.map((x) => x.toFixed(4).padStart(8)).join(' '));
};
const rowsOf = (values: ArrayLike<number>, width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, i) =>
    Array.from({ length: width }, (_, j) => values[i * width + j]!),
  );

const [length, width] = [3, 2];
const q = [0.33669037, 0.12880941, 0.23446237, 0.23033303, -1.12285638, -0.18632829];
const k = [2.20820141, -0.63799703, 0.46165723, 0.26735088, 0.53490466, 0.80935723];
const v = [1.11029029, -1.68979895, -0.98895991, 0.95797181, 1.32213509, 0.81718975];

// By hand: softmax(q kᵀ / √d) v
const scores = rowsOf(q, width).map((query) =>
  rowsOf(k, width).map((key) => query.reduce((sum, x, d) => sum + x * key[d]!, 0) / Math.sqrt(width)),
);
const weights = scores.map((row) => {
  const powers = row.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
});
const values = weights.map((row) =>
  Array.from({ length: width }, (_, d) => row.reduce((sum, weight, j) => sum + weight * v[j * width + d]!, 0)),
);
show('weights, by hand', weights);
show('output, by hand', values);

// The same as tensors [batch, heads, tokens, width], in one call.
const shape = [1, 1, length, width];
const [Q, K, V] = [tensor(q, shape), tensor(k, shape), tensor(v, shape)];
const plain = attention(Q, K, V, { returnWeights: true });
show('weights', rowsOf(await plain.weights.data(), length));
show('output', rowsOf(await plain.output.data(), width));

// With a causal mask no token sees those behind it.
const causal = attention(Q, K, V, { mask: mask.causal(), returnWeights: true });
show('weights, causal', rowsOf(await causal.weights.data(), length));
show('output, causal', rowsOf(await causal.output.data(), width));
