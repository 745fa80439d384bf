// Attention in linear time: the Performer (Choromanski et al., 2020) against what it estimates, linear attention that goes
// on from a state (Katharopoulos et al., 2020), and Linformer (Wang et al., 2020): node examples/performer.mjs
import { attention, linearAttention, nn, performerAttention, random } from 'heddle';

const [heads, length, headDim] = [2, 128, 16];
const shape = [1, heads, length, headDim];
const [q, k, v] = [1, 2, 3].map((seed) => random.normal(shape, { seed, std: 0.5 }));

const exact = await attention(q, k, v).data();
for (const numFeatures of [16, 64, 256, 1024]) {
  const estimate = await performerAttention(q, k, v, { numFeatures, seed: 4 }).data();
  const error = Math.hypot(...exact.map((value, i) => value - estimate[i])) / Math.hypot(...exact);
  console.log(`${String(numFeatures).padStart(5)} features: relative error ${error.toFixed(3)}`);
}

// Token by token with constant memory: a state instead of a cache.
const whole = await linearAttention(q, k, v, { causal: true }).data();
let state;
let last;
for (let t = 0; t < length; ++t) {
  const [one, key, value] = [q, k, v].map((x) => x.slice(2, t, t + 1));
  ({ output: last, state } = linearAttention(one, key, value, { causal: true, state, returnState: true }));
}
const final = await last.data();
const same = final.every(
  (x, i) => x === whole[(Math.floor(i / headDim) * length + length - 1) * headDim + (i % headDim)],
);
console.log('last token from the state', state.shape, 'has the same bytes:', same);

// As layers, with the parameters of multi-head attention and, for Linformer, projections of its own.
const x = random.normal([1, length, heads * headDim], { seed: 5 });
const options = { width: heads * headDim, numHeads: heads };
const performer = new nn.PerformerAttention(nn.initialParameters(), '', { ...options, causal: true });
const linformer = new nn.LinformerAttention(nn.initialParameters(), '', {
  ...options,
  maxLength: length,
  numProjected: 32,
});
for (const layer of [performer, linformer]) console.log(layer.constructor.name, layer.forward(x).shape);
