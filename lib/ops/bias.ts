import type { BiasHandles } from '../native';
import { checkBoolean, checkInteger, checkNumber, checkOptions, rangeError, typeError } from '../check';
import type { Device } from '../tensor/device';
import { FLOAT_DTYPES, shapeOf, Tensor, tensor, unwrap, unwrapOptional, type FloatDType } from '../tensor/tensor';
import { t5Bucket } from './buckets';
import { cast } from './cast';
import { gatherRows } from './gather-rows';
import { linear } from './linear';

/** Kinds of terms, in the order of the native BiasKind. */
const KINDS = ['alibi', 'byDistance', 'byQuery', 'byKey', 'dense'] as const;
type Kind = (typeof KINDS)[number];
/** The native BiasFlag. */
const SCALED = 1;
const SYMMETRIC = 2;
/** Terms of one bias: the native kMaxData. */
const MAX_TERMS = 4;
const MAX_HEADS = 2 ** 16;

/** What attention has when a bias becomes its terms: q and k with heads inside, [B, T, H, D]. */
export interface BiasOperands {
  q: Tensor;
  /** Absent over a cache. */
  k?: Tensor;
}

interface Term {
  kind: Kind;
  flags: number;
  /** Number of the value at distance 0. */
  low: number;
  /** float32, as the native kind wants it. */
  data: (operands: BiasOperands) => Tensor;
}

/** Positions that distances are taken between: whole numbers that a cumulative sum of a mask gives, for instance. */
export interface BiasPositions {
  /** Of queries: int32 [B, Tq], over a cache [N]. Default: where they stand among the keys. */
  queryPositions?: Tensor | undefined;
  /** Of keys: int32 [B or 1, Tk]. Default 0, 1, … */
  keyPositions?: Tensor | undefined;
}

/** Vectors that a distance adds to the values: [W, Dv], the one for distance 0 in the middle. */
export interface RelativeValues {
  table: Tensor;
  low: number;
}

/**
 * What is added to the scores of attention, before the mask: a value, made of terms and combined by `plus`. Nothing of
 * the size Tq × Tk is built but what `bias.dense` is given. A score that becomes -∞ is masked.
 */
export class Bias {
  private constructor(
    private readonly terms: readonly Term[],
    private readonly positions: BiasPositions,
    /** For attention. */
    readonly relativeValues?: RelativeValues,
  ) {}

  /** For the library: see `bias`. */
  static of(terms: readonly Term[], positions: BiasPositions = {}, relativeValues?: RelativeValues): Bias {
    return new Bias(terms, positions, relativeValues);
  }

  /**
   * The sum of both.
   *
   * @throws RangeError for more than four terms, for different positions, and if both add to the values.
   */
  plus(other: Bias): Bias {
    checkBias('Bias.plus', 'other', other);
    const terms = [...this.terms, ...other.terms];
    if (terms.length > MAX_TERMS) {
      throw new RangeError(`[Bias.plus] a bias may have ${MAX_TERMS} terms but would have ${terms.length}`);
    }
    const same = <T>(name: string, a: T | undefined, b: T | undefined): T | undefined => {
      if (a !== undefined && b !== undefined && a !== b) throw new RangeError(`[Bias.plus] both have ${name}`);
      return a ?? b;
    };
    const positions = {
      queryPositions: same('queryPositions', this.positions.queryPositions, other.positions.queryPositions),
      keyPositions: same('keyPositions', this.positions.keyPositions, other.positions.keyPositions),
    };
    return new Bias(terms, positions, same('vectors for the values', this.relativeValues, other.relativeValues));
  }

  /** For the library, in a scope: the native form, which lives as long as that. */
  lower(operands: BiasOperands): BiasHandles {
    const code = this.terms.flatMap(({ kind, low, flags }, slot) => [KINDS.indexOf(kind), slot, low, flags]);
    if (code.length === 0) return NO_BIAS;
    const [d0 = 0, d1 = 0, d2 = 0, d3 = 0] = this.terms.map((term) => unwrap('Bias', 'bias', term.data(operands)));
    const { queryPositions, keyPositions } = this.positions;
    return [
      ...([Int32Array.from(code), d0, d1, d2, d3] as const),
      unwrapOptional('Bias', 'queryPositions', queryPositions),
      unwrapOptional('Bias', 'keyPositions', keyPositions),
    ];
  }
}

export const NO_BIAS: BiasHandles = [undefined, 0, 0, 0, 0, 0, 0];

export function checkBias(name: string, argument: string, value: unknown): Bias {
  if (!(value instanceof Bias)) throw typeError(name, argument, 'a bias', value);
  return value;
}

function checkFloats(name: string, argument: string, value: unknown, rank: number, shape: string): Tensor {
  const sizes = shapeOf(name, argument, value);
  const one = value as Tensor;
  if (!FLOAT_DTYPES.includes(one.dtype as FloatDType)) throw typeError(name, argument, 'of a float dtype', one.dtype);
  if (sizes.length !== rank) throw rangeError(name, argument, `of shape ${shape}`, sizes);
  return one;
}

function checkPositions(name: string, { queryPositions, keyPositions }: BiasPositions): BiasPositions {
  for (const [key, value] of Object.entries({ queryPositions, keyPositions })) {
    if (value === undefined) continue;
    shapeOf(name, key, value);
    if (value.dtype !== 'int32') throw typeError(name, key, 'of dtype int32', value.dtype);
  }
  return { queryPositions, keyPositions };
}

const float32 = (x: Tensor): Tensor => (x.dtype === 'float32' ? x : cast(x, 'float32'));

export interface AlibiOptions extends BiasPositions {
  /** -slope · |distance|, for attention to both sides; else slope · (key - query). Default false. */
  symmetric?: boolean | undefined;
}

export interface T5BiasOptions extends BiasPositions {
  /** Half of the buckets are for keys behind the query. Default true. */
  bidirectional?: boolean | undefined;
  /** From here on, all distances share a bucket. Default 128. */
  maxDistance?: number | undefined;
}

export interface RelativeTables {
  /** [W, Dk] for the distances -(W - 1) / 2 … (W - 1) / 2: added to the keys that a query meets. */
  keys?: Tensor | undefined;
  /** [W, Dk]: added to the queries that a key meets (BERT's `relative_key_query`). Not over a cache. */
  queries?: Tensor | undefined;
  /** [W, Dv]: added to the values. */
  values?: Tensor | undefined;
}

/** For the library: T5's table [buckets, H] → its numbers by distance, [H, 2 · maxDistance + 1] float32, a view. */
export function t5Distances(
  table: Tensor,
  { bidirectional, maxDistance }: { bidirectional: boolean; maxDistance: number },
): Tensor {
  const [numBuckets = 0] = table.shape;
  // Beyond maxDistance all are in the last bucket.
  const buckets = Int32Array.from({ length: 2 * maxDistance + 1 }, (_, i) =>
    t5Bucket(i - maxDistance, { bidirectional, numBuckets, maxDistance }),
  );
  const index = tensor(buckets, [buckets.length], { device: table.device });
  return float32(gatherRows(table, index)).transpose();
}

/** For the library: `values` [H, 2 · reach + 1] float32 by distance, those at the ends for all beyond. */
export function byDistance(values: Tensor, positions: BiasPositions): Bias {
  const low = (values.shape[1]! - 1) / 2;
  return Bias.of([{ kind: 'byDistance', flags: 0, low, data: () => values }], positions);
}

/** The terms that biases are made of. */
export const bias = {
  /**
   * The slopes of Press et al., 2022, section 3: powers of 2^(-8 / n) for n heads, n a power of two; of other numbers
   * those of the next lower power, then every second one of the next higher. `biasMax`, MPT's alibi_bias_max, stands
   * instead of the 8.
   */
  alibiSlopes(heads: number, options: { biasMax?: number | undefined } = {}): number[] {
    checkInteger('bias.alibiSlopes', 'heads', heads, 1, MAX_HEADS);
    checkOptions('bias.alibiSlopes', options, ['biasMax']);
    const { biasMax = 8 } = options;
    checkNumber('bias.alibiSlopes', 'biasMax', biasMax);
    if (biasMax <= 0) throw rangeError('bias.alibiSlopes', 'biasMax', 'above 0', biasMax);
    const powers = (count: number) => Array.from({ length: count }, (_, i) => 2 ** ((-biasMax * (i + 1)) / count));
    const lower = 2 ** Math.floor(Math.log2(heads));
    const more = powers(2 * lower).filter((_, i) => i % 2 === 0);
    return [...powers(lower), ...more.slice(0, heads - lower)];
  },

  /**
   * Attention with linear biases (Press et al., 2022, section 3): slope_h · (key - query).
   *
   * @param slopes one a head, [H]; or the number of heads, for the paper's slopes.
   * @throws TypeError, RangeError for slopes that are not finite and for unknown options.
   */
  alibi(slopes: number | readonly number[] | Tensor, options: AlibiOptions = {}): Bias {
    const name = 'bias.alibi';
    checkOptions(name, options, ['symmetric', 'queryPositions', 'keyPositions']);
    const { symmetric = false } = options;
    if (typeof slopes === 'number') checkInteger(name, 'slopes', slopes, 1, MAX_HEADS);
    checkBoolean(name, 'symmetric', symmetric);
    const list = typeof slopes === 'number' ? bias.alibiSlopes(slopes) : slopes;
    const flags = symmetric ? SYMMETRIC : 0;
    const make = (data: Term['data']) =>
      Bias.of([{ kind: 'alibi', flags, low: 0, data }], checkPositions(name, options));
    if (list instanceof Tensor) {
      const given = checkFloats(name, 'slopes', list, 1, '[H]');
      return make(() => float32(given));
    }
    if (!Array.isArray(list)) throw typeError(name, 'slopes', 'a number of heads, numbers or a tensor', slopes);
    list.forEach((slope, h) => {
      checkNumber(name, `slopes[${h}]`, slope);
    });
    const values = Float32Array.from(list);
    return make(({ q }) => tensor(values, [values.length], { device: q.device as Device }));
  },

  /**
   * Relative position representations (Shaw et al., 2018, section 3): the vector of the distance between query and key
   * is added to the key, to the query or to the value; beyond the table's ends its last vector counts.
   *
   * @throws TypeError, RangeError for tables of an even number of vectors, and if there is none.
   */
  relative(tables: RelativeTables): Bias {
    const name = 'bias.relative';
    if (tables === undefined) throw typeError(name, 'tables', 'an object', tables);
    checkOptions(name, tables, ['keys', 'queries', 'values']);
    const given = Object.entries(tables).filter(([, table]) => table !== undefined) as [keyof RelativeTables, Tensor][];
    if (given.length === 0) throw typeError(name, 'tables', 'an object with keys, queries or values', tables);
    for (const [key, table] of given) {
      const rows = checkFloats(name, key, table, 2, '[W, D]').shape[0] ?? 0;
      if (rows % 2 !== 1) throw rangeError(name, key, 'a table of an odd number of rows', table.shape);
    }
    const low = (table: Tensor) => ((table.shape[0] ?? 1) - 1) / 2;
    const products = (x: Tensor, table: Tensor) => linear(x, table, { outDtype: 'float32' });
    const terms: Term[] = [];
    const { keys, queries, values } = tables;
    if (keys) terms.push({ kind: 'byQuery', flags: SCALED, low: low(keys), data: ({ q }) => products(q, keys) });
    if (queries) {
      const data = ({ k }: BiasOperands) => {
        if (!k) throw new RangeError('[attention] bias.relative({ queries }) needs keys and values, not a cache');
        return products(k, queries);
      };
      terms.push({ kind: 'byKey', flags: SCALED, low: low(queries), data });
    }
    return Bias.of(terms, {}, values && { table: values, low: low(values) });
  },

  /**
   * Learned numbers by bucket of the distance (Raffel et al., 2020, section 2.1); not scaled, as in T5.
   *
   * @param table [number of buckets, H]
   * @throws TypeError, RangeError for other tables and options.
   */
  t5(table: Tensor, options: T5BiasOptions = {}): Bias {
    const name = 'bias.t5';
    checkOptions(name, options, ['bidirectional', 'maxDistance', 'queryPositions', 'keyPositions']);
    checkFloats(name, 'table', table, 2, '[buckets, H]');
    const { bidirectional = true, maxDistance = 128 } = options;
    checkBoolean(name, 'bidirectional', bidirectional);
    checkInteger(name, 'maxDistance', maxDistance, 1, 2 ** 20);
    const data = () => t5Distances(table, { bidirectional, maxDistance });
    return Bias.of([{ kind: 'byDistance', flags: 0, low: maxDistance, data }], checkPositions(name, options));
  },

  /**
   * Any values: a float tensor [B or 1, H or 1, Tq or 1, Tk or 1], any strides; fewer axes count as the last ones. -∞
   * masks.
   */
  dense(values: Tensor): Bias {
    const name = 'bias.dense';
    const rank = shapeOf(name, 'values', values).length;
    checkFloats(name, 'values', values, Math.min(4, Math.max(1, rank)), 'of one to four axes');
    const data = () => float32(values.reshape([...Array<number>(4 - rank).fill(1), ...values.shape]));
    return Bias.of([{ kind: 'dense', flags: 0, low: 0, data }]);
  },
};
