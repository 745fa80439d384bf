import type { Formula, NaiveAttention, Round } from './naive';

type Numbers = ArrayLike<number>;

export type RecurrenceSizes = Pick<
  NaiveAttention,
  'batch' | 'heads' | 'kvHeads' | 'queries' | 'keys' | 'keyWidth' | 'valueWidth'
>;

/** What linearAttention and recurrentAttention are told, dense and row-major. */
export interface NaiveRecurrence extends RecurrenceSizes {
  q: Numbers;
  k: Numbers;
  v: Numbers;
  features?: 'none' | 'elu+1';
  causal?: boolean;
  /** Divide by the features' sums, of which this is added to each; undefined: multiply by `scale` instead. */
  eps?: number | undefined;
  scale?: number;
  /** Of a key head [B, Hkv, T], or of its coordinates [B, Hkv, T, Dk]. */
  decay?: Numbers | undefined;
  beta?: Numbers | undefined;
  erase?: Numbers | undefined;
  state?: Numbers | undefined;
  keeps?: ((b: number, t: number) => boolean) | undefined;
}

/** Outputs [B, H, Tq, Dv], then the state, as one list: the recurrence step by step. */
export function recurrence(a: NaiveRecurrence): { output: Formula; state: Formula } {
  return { output: (f) => run(a, f).output, state: (f) => run(a, f).state };
}

function run(a: NaiveRecurrence, f: Round): { output: number[]; state: number[] } {
  const { batch, heads, kvHeads, queries, keys, keyWidth: dk, valueWidth: dv } = a;
  const { features = 'none', causal = true, scale = 1 / Math.sqrt(dk) } = a;
  const group = heads / kvHeads;
  const normalized = a.eps !== undefined;
  const width = dv + Number(normalized);
  const output = new Array<number>(batch * heads * queries * dv).fill(0);
  const state: number[] = [];
  const feature = (x: number) => (features === 'none' ? x : x > 0 ? f(x + 1) : f(Math.exp(x)));
  for (let at = 0; at < batch * kvHeads; ++at) {
    const [b, head] = [Math.floor(at / kvHeads), at % kvHeads];
    // The last column is z.
    const s = Array.from({ length: dk }, (_, d) =>
      Array.from({ length: width }, (_, e) => a.state?.[(at * dk + d) * width + e] ?? 0),
    );
    const product = (x: readonly number[], e: number) => x.reduce((sum, one, d) => f(sum + f(one * s[d]![e]!)), 0);
    const row = (x: Numbers, index: number) => Array.from({ length: dk }, (_, d) => x[index * dk + d]!);
    const read = (i: number) => {
      for (let h = head * group; h < (head + 1) * group; ++h) {
        const query = row(a.q, (b * heads + h) * queries + i).map(feature);
        const divisor = query.reduce((sum, x, d) => f(sum + f(x * f(s[d]![dv]! + (a.eps ?? 0)))), 0);
        for (let e = 0; e < dv; ++e) {
          const y = product(query, e);
          const scaled = normalized ? (divisor === 0 ? 0 : f(y / divisor)) : f(y * f(scale));
          output[((b * heads + h) * queries + i) * dv + e] = scaled;
        }
      }
    };
    const update = (t: number) => {
      if (a.keeps?.(b, t) === false) return;
      const token = at * keys + t;
      const key = row(a.k, token).map(feature);
      const gate = (d: number) =>
        Math.exp(a.decay!.length === batch * kvHeads * keys ? a.decay![token]! : a.decay![token * dk + d]!);
      if (a.decay) s.forEach((line, d) => line.forEach((x, e) => (line[e] = f(x * f(gate(d))))));
      const erased = key.map((x, d) => f(x * (a.erase?.[token * dk + d] ?? 1)));
      const beta = a.beta?.length === batch * keys ? a.beta[b * keys + t]! : a.beta?.[token];
      const u = Array.from({ length: width }, (_, e) => {
        if (e === dv) return 1;
        const value = a.v[token * dv + e]!;
        return beta === undefined ? value : f(beta * f(value - product(erased, e)));
      });
      s.forEach((line, d) => line.forEach((x, e) => (line[e] = f(x + f(key[d]! * u[e]!)))));
    };
    for (let i = 0; causal && i < queries - keys; ++i) read(i);
    for (let t = 0; t < keys; ++t) {
      update(t);
      if (causal && t + queries - keys >= 0) read(t + queries - keys);
    }
    for (let i = 0; !causal && i < queries; ++i) read(i);
    state.push(...s.flat());
  }
  return { output, state };
}
