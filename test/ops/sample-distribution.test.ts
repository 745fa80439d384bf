import {
  defaultDevice,
  processLogits,
  processorsOf,
  tensor,
  type ProcessorOptions,
  type ProcessorState,
} from '#lib/index';
import { drawTokens, samplingKeys } from '#lib/ops/sample';
import * as naive from '../support/naive-processors';
import { Random } from '../support/random';

// Draws of a batch of equal rows, whose sequences have different numbers, against the exact distribution.

const WIDTH = 40;
// A simulated device takes its time.
const DRAWS = defaultDevice() === 'cpu' ? 200_000 : 1_000;
const LIMIT = 1e-4;

/** ln Γ(a), by Lanczos' approximation (Numerical Recipes, section 6.1). */
function logGamma(a: number): number {
  const c = [76.18009172947146, -86.50532032941678, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3];
  const series = [...c, -5.395239384953e-6].reduce((sum, term, i) => sum + term / (a + 1 + i), 1.000000000190015);
  return (a + 0.5) * Math.log(a + 5.5) - (a + 5.5) + Math.log((2.5066282746310002 * series) / a);
}

/** Q(a, x), the upper regularized incomplete gamma function (the same, section 6.2). */
function upperGamma(a: number, x: number): number {
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let [term, sum] = [1 / a, 1 / a];
    for (let n = a + 1; term > sum * 1e-14; ++n) sum += term *= x / n;
    return 1 - sum * front;
  }
  let [b, c] = [x + 1 - a, 1e300];
  let d = 1 / b;
  let h = d;
  for (let i = 1, change = 0; Math.abs(change - 1) > 1e-14 && i < 10_000; ++i) {
    const an = -i * (i - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    change = d * c;
    h *= change;
  }
  return h * front;
}

/** Probability of counts at least as far from what is expected; tokens of less than five draws count as one. */
function chiSquare(counts: readonly number[], p: readonly number[], draws: number): number {
  const cells = counts.map((count, i) => [count, p[i]! * draws] as const);
  const rare = cells.filter(([, expected]) => expected < 5);
  const lumped = [rare.reduce((sum, [n]) => sum + n, 0), rare.reduce((sum, [, e]) => sum + e, 0)] as const;
  const all = [...cells.filter(([, expected]) => expected >= 5), ...(lumped[1] >= 5 ? [lumped] : [])];
  const statistic = all.reduce((sum, [n, expected]) => sum + (n - expected) ** 2 / expected, 0);
  return all.length < 2 ? 1 : upperGamma((all.length - 1) / 2, Math.max(statistic, 1e-12) / 2);
}

test('the judge itself', () => {
  expect(upperGamma(0.5, 0.5)).toBeCloseTo(0.31731, 4); // one degree of freedom, 1.0
  expect(upperGamma(5, 9.15352)).toBeCloseTo(0.05, 4); // ten, 18.307
  expect(upperGamma(5, 1.97015)).toBeCloseTo(0.95, 4); // ten, 3.940
});

const history = [1, 2, 3, 1, 2, 3, 1, 2];
const logits = [...new Random(11).normals(WIDTH, 1.5)];
const f = Math.fround;

const cases: [options: ProcessorOptions, ...plain: naive.Processor[]][] = [
  [{}],
  [{ temperature: 0.6 }, naive.temperature(f(0.6))],
  [{ temperature: 2 }, naive.temperature(2)],
  [{ topK: 7 }, naive.topK(7)],
  [{ topP: 0.85 }, naive.topP(0.85)],
  [{ minP: 0.1 }, naive.minP(f(0.1))],
  [{ typicalP: 0.7 }, naive.typicalP(0.7)],
  [{ epsilonCutoff: 0.02 }, naive.epsilonCutoff(0.02)],
  [{ etaCutoff: 0.05 }, naive.etaCutoff(0.05)],
  [{ topNSigma: 1.2 }, naive.topNSigma(f(1.2))],
  [{ dynatempRange: 0.5, dynatempExponent: 2 }, naive.dynamicTemperature(0.5, 1.5, 2)],
  [{ xtcProbability: 1, xtcThreshold: 0.05 }, naive.xtc(0.05)],
  [{ mirostat: 2 }, naive.mirostat(4)],
  [{ repetitionPenalty: 1.5 }, naive.repetitionPenalty(history, 1.5)],
  [{ frequencyPenalty: 0.5, presencePenalty: 0.25 }, naive.frequencyPenalty(history, 0.5, 0.25)],
  [
    { dryMultiplier: 1, dryBase: 1.5, dryAllowedLength: 2 },
    naive.dry(history, { multiplier: 1, base: 1.5, allowedLength: 2 }),
  ],
  [{ temperature: 0.8, topK: 20, topP: 0.9 }, naive.temperature(f(0.8)), naive.topK(20), naive.topP(0.9)],
  [
    { repetitionPenalty: 1.2, temperature: 1.3, topP: 0.95, minP: 0.02, typicalP: 0.9 },
    ...[naive.repetitionPenalty(history, f(1.2)), naive.temperature(f(1.3)), naive.topP(0.95), naive.minP(f(0.02))],
    naive.typicalP(0.9),
  ],
  [
    { topK: 30, etaCutoff: 0.01, xtcProbability: 1, xtcThreshold: 0.1 },
    ...[naive.topK(30), naive.etaCutoff(0.01), naive.xtc(f(0.1))],
  ],
];

test.each(cases)('draws with %j', async (options, ...plain) => {
  const batch = 20_000 > DRAWS ? DRAWS : 20_000;
  const chain = processorsOf(options);
  const one: ProcessorState = {
    history: tensor(Int32Array.from(history), [1, history.length]),
    ...{ lengths: tensor(Int32Array.of(history.length)), promptLengths: tensor(Int32Array.of(0)) },
    ...{ keys: tensor(Int32Array.of(5, 0, 0), [1, 3]), steps: tensor(Int32Array.of(0)), mu: tensor([4]) },
  };
  // One row is processed, and copied: all draw from the same.
  using shaped = processLogits(tensor(Float32Array.from(logits), [1, WIDTH]), chain, one);
  const row = await shaped.data();
  using scores = tensor(
    Float32Array.from({ length: batch * WIDTH }, (_, i) => row[i % WIDTH]!),
    [batch, WIDTH],
  );
  using keys = samplingKeys(
    Array.from({ length: batch }, (_, sequence) => ({ seed: 42, sequence })),
    defaultDevice(),
  );
  const counts = Array<number>(WIDTH).fill(0);
  for (let step = 0; step * batch < DRAWS; ++step) {
    using steps = tensor(new Int32Array(batch).fill(step));
    const { tokens } = drawTokens(scores, keys, steps);
    for (const token of await tokens.data()) counts[token]! += 1;
    tokens.dispose();
  }
  const expected = naive.probabilities(naive.chain(...plain)(logits));
  counts.forEach((count, t) => {
    if (expected[t] === 0) expect([t, count]).toEqual([t, 0]);
  });
  expect(chiSquare(counts, expected, DRAWS)).toBeGreaterThan(LIMIT);
});

test('log-probabilities of what is drawn, and what mirostat learns from it', async () => {
  const rows = 6;
  const x = [...new Random(3).normals(rows * WIDTH, 2)];
  const mus = [1, 2, 3, 4, 5, 6];
  using mu = tensor(mus);
  using keys = samplingKeys(
    mus.map((_, sequence) => ({ seed: 7, sequence })),
    defaultDevice(),
  );
  using steps = tensor(new Int32Array(rows));
  const settings = { mirostat: { mu, tau: 3, eta: 0.2 }, returnLogProbs: true };
  const { tokens, logProbs } = drawTokens(tensor(Float32Array.from(x), [rows, WIDTH]), keys, steps, settings);
  const [drawn, logs, learned] = [await tokens.data(), await logProbs!.data(), await mu.data()];
  for (let r = 0; r < rows; ++r) {
    const expected = Math.log(naive.probabilities(x.slice(r * WIDTH, (r + 1) * WIDTH))[drawn[r]!]!);
    expect(logs[r]).toBeCloseTo(expected, 5);
    expect(learned[r]).toBeCloseTo(mus[r]! - 0.2 * (-expected / Math.LN2 - 3), 5);
  }
  expect(() => drawTokens(tensor([1], [1, 1]), keys, steps)).toThrow('[sample] keys must have shape [1, 3]');
});
