import type { Activation, FloatDType } from 'heddle';
import { expectClose } from './compare';
import { round, ulp } from './dtype';

/** Rounds each intermediate result: not at all, or to float32. */
export type Round = (x: number) => number;
/** A formula; `store` rounds what is an operand of the next product to the dtype. */
export type Formula = (f: Round, store: Round) => number[];
type Numbers = ArrayLike<number>;

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/**
 * The judge of a kernel: its error against the formula in float64 is at most twice the largest error of the same plain
 * formula in float32 with results in `dtype`, give or take 4 units in the last place of the largest result in float32.
 * What is rounded correctly is right, too.
 */
export function expectAsGoodAsPlain(
  actual: Numbers,
  formula: Formula,
  name?: string,
  dtype: FloatDType = 'float32',
): void {
  const store = (x: number) => round(x, dtype);
  const exact = formula(
    (x) => x,
    (x) => x,
  );
  const plain = formula(Math.fround, store).map(store);
  const finite = exact.filter(Number.isFinite).map(Math.abs);
  const largest = finite.reduce((a, b) => Math.max(a, b), 0);
  const errors = exact.map((x, i) => Math.abs(x - plain[i]!)).filter(Number.isFinite);
  const error = errors.reduce((a, b) => Math.max(a, b), 0);
  const slack = largest * 2 ** -22 + 2 ** -126;
  const rounding = (x: number) => (Number.isFinite(x) ? ulp(x, dtype) / 2 : 0);
  expectClose(actual, exact, (i) => Math.max(2 * error, rounding(exact[i]!)) + slack, name);
}

/** e^-x² Σ 2^n x^(2n+1) / (2n+1)!!: terms of one sign, so nothing cancels. */
export function erf(x: number): number {
  if (Math.abs(x) > 6 || Number.isNaN(x)) return Math.sign(x);
  let sum = 0;
  for (let n = 0, term = x; n < 200; ++n, term *= (2 * x * x) / (2 * n + 1)) sum += term;
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

export function gelu(x: number, f: Round): number {
  return f(f(0.5 * x) * f(1 + f(erf(f(x * Math.SQRT1_2)))));
}

export function geluTanh(x: number, f: Round): number {
  const cube = f(f(x * x) * x);
  const inner = f(f(Math.sqrt(2 / Math.PI)) * f(x + f(f(0.044715) * cube)));
  return f(f(0.5 * x) * f(1 + f(Math.tanh(inner))));
}

export function silu(x: number, f: Round): number {
  return f(x / f(1 + f(Math.exp(-x))));
}

const relu = (x: number) => Math.max(x, 0);
const sigmoid = (x: number, f: Round) => f(1 / f(1 + f(Math.exp(-x))));
const softplus = (x: number, f: Round) => (x > 20 ? x : f(Math.log1p(f(Math.exp(x)))));
const SELU = { scale: 1.0507009873554805, alpha: 1.6732632423543772 };

export const activations: Record<Activation, (x: number, f: Round) => number> = {
  linear: (x) => x,
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_accurate: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  silu,
  swish: silu,
  relu,
  quick_gelu: (x, f) => f(x * sigmoid(f(1.702 * x), f)),
  gelu_10: (x, f) => Math.min(10, Math.max(-10, gelu(x, f))),
  relu2: (x, f) => f(relu(x) * relu(x)),
  relu6: (x) => Math.min(relu(x), 6),
  tanh: (x, f) => f(Math.tanh(x)),
  sigmoid,
  mish: (x, f) => f(x * f(Math.tanh(softplus(x, f)))),
  laplace: (x, f) => f(0.5 * f(1 + f(erf(f(f(x - Math.SQRT1_2) * Math.sqrt(2 * Math.PI)))))),
  leaky_relu: (x, f) => (x < 0 ? f(0.01 * x) : x),
  elu: (x, f) => (x < 0 ? f(Math.expm1(x)) : x),
  selu: (x, f) => f(SELU.scale * (x < 0 ? f(SELU.alpha * f(Math.expm1(x))) : x)),
  softplus,
};

export interface NaiveLinear {
  x: Numbers;
  weight: Numbers;
  /** K */
  width: number;
  bias?: Numbers | undefined;
  residual?: Numbers | undefined;
  activation?: Activation | undefined;
}

/** activation(x · weightᵀ + bias) + residual, row-major. */
export function linear({ x, weight, width, bias, residual, activation = 'linear' }: NaiveLinear, f: Round): number[] {
  const [rows, columns] = [x.length / width, weight.length / width];
  return range(rows * columns).map((at) => {
    const [m, n] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < width; ++k) sum = f(sum + f(x[m * width + k]! * weight[n * width + k]!));
    if (bias) sum = f(sum + bias[n]!);
    const y = activations[activation](sum, f);
    return residual ? f(y + residual[at]!) : y;
  });
}

const sumOf = (values: Numbers, f: Round) => Array.from(values).reduce((a, b) => f(a + b), 0);

/** Of one row. */
export function layerNorm(
  row: Numbers,
  {
    weight,
    bias,
    eps,
    unbiased = false,
  }: { weight?: Numbers | undefined; bias?: Numbers | undefined; eps: number; unbiased?: boolean },
  f: Round,
): number[] {
  const values = Array.from(row);
  const mean = f(sumOf(values, f) / values.length);
  const squares = values.map((x) => f(f(x - mean) * f(x - mean)));
  const variance = f(sumOf(squares, f) / (unbiased ? values.length - 1 : values.length));
  const deviation = unbiased ? f(f(Math.sqrt(variance)) + eps) : f(Math.sqrt(f(variance + eps)));
  return values.map((x, i) => f(f(f(f(x - mean) / deviation) * (weight?.[i] ?? 1)) + (bias?.[i] ?? 0)));
}

/** Of one row. */
export function rmsNorm(
  row: Numbers,
  { weight, eps, offset = 0 }: { weight?: Numbers | undefined; eps: number; offset?: number },
  f: Round,
): number[] {
  const values = Array.from(row);
  const squares = values.map((x) => f(x * x));
  const root = f(Math.sqrt(f(f(sumOf(squares, f) / values.length) + eps)));
  return values.map((x, i) => f(f(x / root) * (weight ? f(weight[i]! + offset) : 1)));
}

/** Of one row. */
export function softmax(row: Numbers, f: Round): number[] {
  const values = Array.from(row);
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((x) => f(Math.exp(f(x - top))));
  const sum = sumOf(powers, f);
  return powers.map((p) => f(p / sum));
}

/** Of one row. */
export function logSumExp(row: Numbers, f: Round): number {
  const values = Array.from(row);
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = sumOf(
    values.map((x) => f(Math.exp(f(x - top)))),
    f,
  );
  return values.every((x) => x === -Infinity) ? -Infinity : f(top + f(Math.log(sum)));
}

/** Of one row. */
export function logSoftmax(row: Numbers, f: Round): number[] {
  const values = Array.from(row);
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = sumOf(
    values.map((x) => f(Math.exp(f(x - top)))),
    f,
  );
  return values.map((x) => f(f(x - top) - f(Math.log(sum))));
}

/** Applies a function of rows to each row of `width` numbers. */
export function byRow(x: Numbers, width: number, row: (values: Numbers, index: number) => number[]): number[] {
  const all = Array.from(x);
  return range(width ? all.length / width : 0).flatMap((r) => row(all.slice(r * width, (r + 1) * width), r));
}

/** Of a query [Dk], with each of its keys. */
function scoresOf(query: Numbers, keys: readonly Numbers[], scale: number, f: Round): number[] {
  return keys.map((key) => {
    let dot = 0;
    for (let d = 0; d < key.length; ++d) dot = f(dot + f(query[d]! * key[d]!));
    return f(f(scale) * dot);
  });
}

/** One head of attention: q [Tq, Dk], k [Tk, Dk], v [Tk, Dv] as rows. Query i sees the keys below `visible(i)`. */
export interface NaiveHead {
  q: readonly Numbers[];
  k: readonly Numbers[];
  v: readonly Numbers[];
  scale: number;
  visible: (query: number) => number;
}

/** [Tq][Dv] */
export function attentionHead({ q, k, v, scale, visible }: NaiveHead, f: Round, store: Round): number[][] {
  const valueWidth = v[0]?.length ?? 0;
  return q.map((query, i) => {
    const weights = softmax(scoresOf(query, k.slice(0, Math.max(0, visible(i))), scale, f), f).map(store);
    return range(valueWidth).map((d) => {
      let sum = 0;
      for (let j = 0; j < weights.length; ++j) sum = f(sum + f(weights[j]! * v[j]![d]!));
      return sum;
    });
  });
}

/** Logarithms of the sums of e^score, [Tq]. */
export function attentionLseHead({ q, k, scale, visible }: NaiveHead, f: Round): number[] {
  return q.map((query, i) => {
    const scores = scoresOf(query, k.slice(0, Math.max(0, visible(i))), scale, f);
    const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = scores.map((score) => f(Math.exp(f(score - top))));
    return scores.length === 0 ? -Infinity : f(top + f(Math.log(sumOf(powers, f))));
  });
}

export interface NaiveAttention {
  /** [B, H, Tq, Dk], dense; k, v [B, Hkv, Tk, D] */
  q: Numbers;
  k: Numbers;
  v: Numbers;
  batch: number;
  heads: number;
  kvHeads: number;
  queries: number;
  keys: number;
  keyWidth: number;
  valueWidth: number;
  scale?: number | undefined;
  causal?: boolean | undefined;
}

/** Calls `head` for each head of each sequence. */
function byHead(a: NaiveAttention, head: (one: NaiveHead) => number[]): number[] {
  const rows = (x: Numbers, head: number, count: number, width: number) =>
    range(count).map((t) => Array.from({ length: width }, (_, d) => x[(head * count + t) * width + d]!));
  const group = a.heads / a.kvHeads;
  return range(a.batch * a.heads).flatMap((index) => {
    const kvHead = Math.floor(index / a.heads) * a.kvHeads + Math.floor((index % a.heads) / group);
    return head({
      q: rows(a.q, index, a.queries, a.keyWidth),
      k: rows(a.k, kvHead, a.keys, a.keyWidth),
      v: rows(a.v, kvHead, a.keys, a.valueWidth),
      scale: a.scale ?? 1 / Math.sqrt(a.keyWidth),
      visible: (i) => (a.causal ? a.keys - a.queries + i + 1 : a.keys),
    });
  });
}

/** [B, H, Tq, Dv] */
export function attention(a: NaiveAttention, f: Round, store: Round): number[] {
  const nothing = () => Array.from({ length: a.valueWidth }, () => 0);
  return byHead(a, (head) =>
    attentionHead(head, f, store)
      .map((row) => (a.keys === 0 ? nothing() : row))
      .flat(),
  );
}

/** [B, H, Tq] */
export function attentionLse(a: NaiveAttention, f: Round): number[] {
  return byHead(a, (head) => attentionLseHead(head, f));
}
