// Masks and biases are values that combine: node examples/masks-and-biases.mjs
import { attention, bias, mask, random } from 'heddle';

const [heads, length, headDim] = [4, 512, 32];
const shape = [1, heads, length, headDim];
const [q, k, v] = [1, 2, 3].map((seed) => random.normal(shape, { seed }));

const masks = {
  causal: mask.causal(),
  'causal window': mask.causal().and(mask.slidingWindow(64)),
  'Longformer: window and global tokens': mask.slidingWindow(32, 32).or(mask.globalTokens([0, 1])),
  'Sparse Transformer: strided': mask.strided(32),
  'packed documents': mask.documents(Int32Array.from({ length }, (_, t) => Math.floor(t / 200))),
};
for (const [name, keep] of Object.entries(masks)) {
  const { density, tiles } = await keep.describe({ queries: length, keys: length });
  const y = attention(q, k, v, { mask: keep });
  console.log(`${name}: ${(100 * density).toFixed(1)} % of the pairs, ${tiles.none} tiles skipped,`, y.shape);
}

// Linear biases (Press et al., 2022) draw each head to what is near, the first one most.
const { weights } = attention(q, k, v, {
  mask: mask.causal(),
  bias: bias.alibi(heads),
  returnWeights: { rows: [length - 1] }, // of the last query only
});
const row = await weights.data();
for (let head = 0; head < heads; ++head) {
  let distance = 0;
  for (let key = 0; key < length; ++key) distance += row[head * length + key] * (length - 1 - key);
  console.log(`ALiBi, head ${head}: mean distance ${distance.toFixed(1)}`);
}
