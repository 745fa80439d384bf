// An encoder-decoder Transformer (Vaswani et al., 2017) with masks: node examples/encoder-decoder.mjs
//
// Its weights are drawn here. nn.parameters({ … }) takes tensors instead, by the names of PyTorch's nn.Transformer.
import { mask, nn, scope, softmax, tensor } from 'heddle';

const [width, vocabSize, maxPositions] = [64, 40, 32];
const source = nn.initialParameters({ seed: 1 });
const embedding = new nn.TokenEmbedding(source, 'tokens', {
  vocabSize,
  width,
  scaled: true,
  positions: 'sinusoidal',
  maxPositions,
  dropout: 0.1,
});
const transformer = new nn.Transformer(source, 'transformer', {
  width,
  numHeads: 4,
  numEncoderLayers: 2,
  numDecoderLayers: 2,
  innerWidth: 128,
  activation: 'gelu',
  preNorm: true,
  dropout: 0.1,
});

const ids = (rows) => tensor(Int32Array.from(rows.flat()), [rows.length, rows[0].length]);
/** Probabilities of the token behind each target, [B, T, V]; the token table is the output head, too. */
const predict = (sources, lengths, targets, pass = {}) =>
  scope(() => {
    const seed = new nn.Draws(pass.seed); // one for all layers of a pass
    const run = { ...pass, seed };
    const real = mask.padding(lengths);
    const x = embedding.forward(ids(sources), run);
    const y = embedding.forward(ids(targets), run);
    const options = { sourceMask: real, memoryMask: real, targetMask: mask.causal(), ...run };
    return softmax(embedding.logits(transformer.forward(x, y, options)));
  });

// Two sentences, the second one padded: what stands in the padding does not matter.
const targets = [
  [1, 7, 8],
  [1, 9, 3],
];
const padded = (pad) => [
  [5, 6, 7, 8],
  [9, 4, pad, pad],
];
const [zeros, nines] = [0, 9].map((pad) => predict(padded(pad), [4, 2], targets));
const [a, b] = await Promise.all([zeros.data(), nines.data()]);
console.log('probabilities', zeros.shape);
console.log('padding matters:', !a.every((value, i) => value === b[i]));

// Dropout at inference: how much the prediction of the first token varies from sample to sample.
const draws = [];
for (let seed = 0; seed < 20; ++seed) {
  const sample = predict(padded(0), [4, 2], targets, { mcDropout: true, seed });
  draws.push((await sample.data())[7]);
}
const mean = draws.reduce((sum, p) => sum + p, 0) / draws.length;
const deviation = Math.sqrt(draws.reduce((sum, p) => sum + (p - mean) ** 2, 0) / (draws.length - 1));
console.log(`P(7) = ${a[7].toFixed(4)}, of 20 samples with dropout ${mean.toFixed(4)} ± ${deviation.toFixed(4)}`);
