// Processors of logits, in float64, by sorting and by plain loops: what the kernels are compared with.

export type Scores = readonly number[];
export type Processor = (x: Scores) => number[];

const REMOVED = -Infinity;
const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const sum = (x: readonly number[]) => x.reduce((total, value) => total + value, 0);

export function probabilities(x: Scores): number[] {
  const top = Math.max(...x);
  const weights = x.map((value) => Math.exp(value - top));
  const mass = sum(weights);
  return weights.map((weight) => weight / mass);
}
export const entropy = (p: readonly number[]) => -sum(p.map((value) => (value > 0 ? value * Math.log(value) : 0)));

const keepWhere = (x: Scores, stays: (i: number) => boolean) => x.map((value, i) => (stays(i) ? value : REMOVED));
/** Ids, best first; of equals `tie` says which comes first. */
const ranked = (x: readonly number[], tie: 'lower' | 'higher' = 'lower') =>
  range(x.length).sort((a, b) => x[b]! - x[a]! || (tie === 'lower' ? a - b : b - a));

export const logSoftmax = (): Processor => (x) => probabilities(x).map(Math.log);
export const temperature =
  (t: number): Processor =>
  (x) =>
    x.map((value) => value / t);

export const dynamicTemperature =
  (low: number, high: number, exponent: number): Processor =>
  (x) => {
    const candidates = x.filter((value) => value > REMOVED).length;
    if (candidates <= 1) return [...x];
    const t = low + (high - low) * (entropy(probabilities(x)) / Math.log(candidates)) ** exponent;
    return x.map((value) => value / t);
  };

export const topK =
  (k: number): Processor =>
  (x) => {
    const kth = [...x].sort((a, b) => b - a)[Math.min(k, x.length) - 1]!;
    return keepWhere(x, (i) => x[i]! >= kth);
  };

export const topP =
  (mass: number, keep = 1): Processor =>
  (x) => {
    const p = probabilities(x);
    const kept = new Set<number>();
    let before = 0;
    for (const i of ranked(x, 'higher')) {
      if (kept.size >= keep && before >= mass) break;
      kept.add(i);
      before += p[i]!;
    }
    return keepWhere(x, (i) => kept.has(i));
  };

export const minP =
  (share: number, keep = 1): Processor =>
  (x) => {
    const p = probabilities(x);
    const best = new Set(ranked(x).slice(0, keep));
    const least = share * Math.max(...p);
    return keepWhere(x, (i) => p[i]! >= least || best.has(i));
  };

export const typicalP =
  (mass: number, keep = 1): Processor =>
  (x) => {
    const p = probabilities(x);
    const expected = entropy(p);
    const off = p.map((value) => Math.abs(-Math.log(value) - expected));
    const order = range(x.length).sort((a, b) => off[a]! - off[b]! || a - b);
    let total = 0;
    const last = order.find((i) => (total += p[i]!) >= mass) ?? order.at(-1)!;
    const first = new Set(order.slice(0, keep));
    return keepWhere(x, (i) => off[i]! <= off[last]! || first.has(i));
  };

const atLeast = (x: Scores, cutoff: number, keep: number) => {
  const p = probabilities(x);
  const kth = [...x].sort((a, b) => b - a)[Math.min(keep, x.length) - 1]!;
  return keepWhere(x, (i) => p[i]! >= cutoff || x[i]! >= kth);
};
export const epsilonCutoff =
  (epsilon: number, keep = 1): Processor =>
  (x) =>
    atLeast(x, epsilon, keep);
export const etaCutoff =
  (epsilon: number, keep = 1): Processor =>
  (x) =>
    atLeast(x, Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy(probabilities(x)))), keep);

export const topNSigma =
  (n: number): Processor =>
  (x) => {
    const there = x.filter((value) => value > REMOVED);
    const mean = sum(there) / there.length;
    const deviation = Math.sqrt(sum(there.map((value) => (value - mean) ** 2)) / there.length);
    const least = Math.max(...x) - n * deviation;
    return keepWhere(x, (i) => x[i]! >= least);
  };

/** Of a row where the dice say so. */
export const xtc =
  (threshold: number): Processor =>
  (x) => {
    const p = probabilities(x);
    const choices = ranked(x).filter((i) => p[i]! >= threshold);
    const dropped = new Set(choices.slice(0, -1));
    return keepWhere(x, (i) => !dropped.has(i));
  };

export const mirostat =
  (mu: number): Processor =>
  (x) => {
    const p = probabilities(x);
    const best = ranked(x)[0];
    const some = p.some((value) => -Math.log2(value) <= mu);
    return keepWhere(x, (i) => (some ? -Math.log2(p[i]!) <= mu : i === best));
  };

// ---- Of tokens

const lastOf = (tokens: readonly number[], n: number) => (n > 0 ? tokens.slice(-n) : tokens);
const times = (tokens: readonly number[], t: number) => tokens.filter((one) => one === t).length;

export const repetitionPenalty =
  (history: readonly number[], penalty: number, lastN = 0): Processor =>
  (x) =>
    x.map((value, t) => {
      if (times(lastOf(history, lastN), t) === 0) return value;
      return value < 0 ? value * penalty : value / penalty;
    });

export const frequencyPenalty =
  (tokens: readonly number[], frequency: number, presence: number, lastN = 0): Processor =>
  (x) =>
    x.map((value, t) => {
      const n = times(lastOf(tokens, lastN), t);
      return value - frequency * n - (n > 0 ? presence : 0);
    });

/** As its author's: for each place where the last token came before, how far what stands before it matches. */
export const dry =
  (history: readonly number[], { multiplier, base, allowedLength, lastN = 0, breakers = [] }: DrySettings): Processor =>
  (x) => {
    const tokens = lastOf(history, lastN);
    const last = tokens.length - 1;
    const longest = new Map<number, number>();
    for (let i = 0; i < last; ++i) {
      let n = 0;
      while (n < 50 && i - n >= 0 && tokens[i - n] === tokens[last - n] && !breakers.includes(tokens[i - n]!)) ++n;
      const next = tokens[i + 1]!;
      if (n > 0 && !breakers.includes(next)) longest.set(next, Math.max(n, longest.get(next) ?? 0));
    }
    return x.map((value, t) => {
      const n = longest.get(t) ?? 0;
      return n > 0 && n >= allowedLength ? value - multiplier * base ** (n - allowedLength) : value;
    });
  };
export interface DrySettings {
  multiplier: number;
  base: number;
  allowedLength: number;
  lastN?: number;
  breakers?: readonly number[];
}

export const chain =
  (...processors: readonly Processor[]): Processor =>
  (x) =>
    processors.reduce<number[]>((scores, processor) => processor(scores), [...x]);
