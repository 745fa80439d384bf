import { bias, mask, nn, tensor, type Mask, type Tensor } from '#lib/index';
import { expectClose } from '../support/compare';
import { normalsOf } from '../support/normals';
import { Random } from '../support/random';

// Multi-head attention of random sizes, projections, masks and biases against its formula in float64.

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** x [rows, K] → x · weightᵀ + bias, rows of N. */
function linear(x: Float32Array | number[], weight: Float32Array, offset: Float32Array | undefined, columns: number) {
  const outputs = weight.length / columns;
  return range(x.length / columns).flatMap((row) =>
    range(outputs).map((n) =>
      range(columns).reduce((sum, c) => sum + x[row * columns + c]! * weight[n * columns + c]!, offset?.[n] ?? 0),
    ),
  );
}

const MASKS: ((random: Random) => Mask | undefined)[] = [
  () => undefined,
  () => mask.causal(),
  (random) => mask.slidingWindow(1 + random.integer(4), random.integer(3)),
  (random) => mask.padding(random.integer(9)),
  (random) =>
    mask
      .causal()
      .and(mask.slidingWindow(1 + random.integer(5)))
      .or(mask.globalTokens([0])),
  (random) => mask.padding(random.integer(9)).not(),
];

test.each(range(40))('random composition %i', async (seed) => {
  const random = new Random(1000 + seed);
  const normals = normalsOf(2000 + seed);
  const [batch, queries, keys] = [1 + random.integer(3), random.pick([1, 2, 7, 33]), random.pick([0, 1, 5, 12, 67])];
  const [numHeads, headDim] = [1 + random.integer(4), 1 + random.integer(9)];
  const width = numHeads * headDim;
  const alike = random.integer(2) === 0;
  const [keyWidth, valueWidth] = alike ? [width, width] : [1 + random.integer(20), 1 + random.integer(20)];
  const hasBias = random.integer(3) > 0;

  // q, k and v [width, …] as the formula wants them; what is fused is made of them.
  const scale = 0.5 / Math.sqrt(width / 4);
  const weights = [width, keyWidth, valueWidth].map((columns) => normals([width, columns], scale));
  const offsets = range(3).map(() => normals([width], 0.5));
  const projection = alike ? random.pick(['separate', 'fused', 'fusedByHead'] as const) : undefined;
  const parts = { q_proj_weight: weights[0]!, k_proj_weight: weights[1]!, v_proj_weight: weights[2]! };
  const read = (tensors: Tensor[]) => Promise.all(tensors.map((one) => one.data()));
  /** Rows of three tensors, in blocks of `block` rows from each in turn. */
  const interleave = async (tensors: Tensor[], block: number) => {
    const all = await read(tensors);
    const [rows = 0, ...rest] = tensors[0]!.shape;
    const size = (all[0]!.length / rows) * block;
    const values = range(rows / block).flatMap((i) =>
      all.flatMap((one) => [...one.subarray(i * size, (i + 1) * size)]),
    );
    return tensor(Float32Array.from(values), [3 * rows, ...rest]);
  };
  const block = projection === 'fusedByHead' ? headDim : width;
  const out = { weight: normals([width, width], scale), bias: normals([width], 0.5) };
  using layer = new nn.MultiHeadAttention(
    nn.parameters({
      ...(projection === undefined || projection === 'separate'
        ? parts
        : { in_proj_weight: await interleave(weights, block) }),
      ...(hasBias && { in_proj_bias: await interleave(offsets, block), 'out_proj.bias': out.bias }),
      'out_proj.weight': out.weight,
    }),
    '',
    { width, numHeads, keyWidth, valueWidth, bias: hasBias, projection },
  );

  const inputs = [
    normals([batch, queries, width]),
    normals([batch, keys, keyWidth]),
    normals([batch, keys, valueWidth]),
  ] as const;
  const keep = random.pick(MASKS)(random);
  const slopes = random.integer(2) === 0 ? range(numHeads).map((h) => 0.3 / (h + 1)) : undefined;
  const { output, weights: shares } = layer.forward(inputs[0], {
    keys: inputs[1],
    values: inputs[2],
    mask: keep,
    bias: slopes && bias.alibi(slopes),
    returnWeights: true,
  });
  expect(output.shape).toEqual([batch, queries, width]);
  expect(shares.shape).toEqual([batch, numHeads, queries, keys]);

  const allowed = keys > 0 ? await keep?.toArray({ queries, keys, batch, heads: numHeads }) : undefined;
  const [x, matrices, vectors] = await Promise.all([read([...inputs]), read(weights), read(offsets)]);
  const [q, k, v] = range(3).map((i) =>
    linear(x[i]!, matrices[i]!, hasBias ? vectors[i] : undefined, [width, keyWidth, valueWidth][i]!),
  ) as [number[], number[], number[]];
  const expectedShares: number[] = [];
  const heads = new Array<number>(batch * queries * width).fill(0);
  for (const b of range(batch)) {
    for (const h of range(numHeads)) {
      for (const i of range(queries)) {
        const powers = range(keys).map((j) => {
          if (allowed?.[((b * numHeads + h) * queries + i) * keys + j] === 0) return 0;
          const at = (row: number, d: number) => row * width + h * headDim + d;
          const product = range(headDim).reduce((s, d) => s + q[at(b * queries + i, d)]! * k[at(b * keys + j, d)]!, 0);
          return Math.exp(product / Math.sqrt(headDim) + (slopes ? slopes[h]! * (j - (keys - queries + i)) : 0));
        });
        const sum = powers.reduce((a, power) => a + power, 0) || 1;
        expectedShares.push(...powers.map((power) => power / sum));
        for (const d of range(headDim)) {
          heads[(b * queries + i) * width + h * headDim + d] = powers.reduce(
            (a, power, j) => a + (power / sum) * v[(b * keys + j) * width + h * headDim + d]!,
            0,
          );
        }
      }
    }
  }
  const [matrix, offset] = await read([out.weight, out.bias]);
  const tolerance = { abs: 5e-6, rel: 2e-5 };
  expectClose(await shares.data(), expectedShares, tolerance, 'weight');
  expectClose(await output.data(), linear(heads, matrix!, hasBias ? offset : undefined, width), tolerance, 'output');
});
