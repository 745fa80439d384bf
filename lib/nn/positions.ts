import { checkInteger, checkNumber, checkOneOf, checkOptions, rangeError } from '../check';

const LAYOUTS = ['interleaved', 'halves', 'halves-inclusive'] as const;

export interface SinusoidalOptions {
  /** Number of positions, from 0. */
  length: number;
  /** Width of a row. */
  dim: number;
  /**
   * 'interleaved': sine and cosine of frequency i at 2i and 2i + 1 (Vaswani et al., 2017, section 3.5). 'halves': all
   * sines, then all cosines (Marian, Pegasus). 'halves-inclusive': the same with frequencies that reach 1 / base
   * (Whisper, M2M100, fairseq). Default 'interleaved'.
   */
  layout?: (typeof LAYOUTS)[number] | undefined;
  /** This row is 0. */
  paddingIdx?: number | undefined;
  /** Default 10000. */
  base?: number | undefined;
}

/**
 * Table [length, dim] of sinusoidal positions, row-major: angles p / base^(2i / dim), or p / base^(i / (dim / 2 - 1))
 * where the layout includes the end. The last column of an odd width is 0 in halves, and a sine where interleaved.
 *
 * @throws TypeError, RangeError for options that do not fit.
 */
export function sinusoidalPositions(options: SinusoidalOptions): Float64Array {
  const name = 'sinusoidalPositions';
  checkOptions(name, options, ['length', 'dim', 'layout', 'paddingIdx', 'base']);
  const { length, dim, layout = 'interleaved', paddingIdx, base = 10000 } = options;
  checkInteger(name, 'length', length, 0, 2 ** 31 - 1);
  checkInteger(name, 'dim', dim, 1, 2 ** 31 - 1);
  checkOneOf(name, 'layout', layout, LAYOUTS);
  checkNumber(name, 'base', base);
  if (base <= 0) throw rangeError(name, 'base', 'above 0', base);
  if (paddingIdx !== undefined) checkInteger(name, 'paddingIdx', paddingIdx, 0, length - 1);
  const half = Math.floor(dim / 2);
  if (layout === 'halves-inclusive' && half < 2) throw rangeError(name, 'dim', 'at least 4', dim);
  const steps = layout === 'halves-inclusive' ? half - 1 : dim / 2;
  const table = new Float64Array(length * dim);
  for (let p = 0; p < length; ++p) {
    if (p === paddingIdx) continue;
    for (let i = 0; 2 * i < dim; ++i) {
      const angle = p * Math.exp((-Math.log(base) * i) / steps);
      const [sine, cosine] = layout === 'interleaved' ? [2 * i, 2 * i + 1] : [i, half + i];
      if (layout !== 'interleaved' && i === half) continue;
      table[p * dim + sine] = Math.sin(angle);
      if (cosine < dim) table[p * dim + cosine] = Math.cos(angle);
    }
  }
  return table;
}

export interface T5BucketOptions {
  /** Half of the buckets are for keys behind the query. Default true. */
  bidirectional?: boolean | undefined;
  /** Default 32. */
  numBuckets?: number | undefined;
  /** From here on, all distances share a bucket. Default 128. */
  maxDistance?: number | undefined;
}

const f = Math.fround;

/**
 * Bucket of a relative position, key - query (Raffel et al., 2020, section 2.1): one for each small distance, then
 * wider ones, logarithmically. Boundaries are those of float32 arithmetic, as in the reference.
 */
export function t5Bucket(relative: number, options: T5BucketOptions = {}): number {
  checkOptions('t5Bucket', options, ['bidirectional', 'numBuckets', 'maxDistance']);
  const { bidirectional = true, numBuckets = 32, maxDistance = 128 } = options;
  checkInteger('t5Bucket', 'relative', relative, -(2 ** 31), 2 ** 31);
  checkInteger('t5Bucket', 'numBuckets', numBuckets, bidirectional ? 4 : 2, 2 ** 31 - 1);
  const buckets = bidirectional ? Math.floor(numBuckets / 2) : numBuckets;
  const exact = Math.floor(buckets / 2);
  checkInteger('t5Bucket', 'maxDistance', maxDistance, exact + 1, 2 ** 31 - 1);
  const first = bidirectional && relative > 0 ? buckets : 0;
  const distance = bidirectional ? Math.abs(relative) : Math.max(0, -relative);
  if (distance < exact) return first + distance;
  const share = f(f(Math.log(f(distance / exact))) / f(Math.log(maxDistance / exact)));
  return first + Math.min(exact + Math.floor(f(share * (buckets - exact))), buckets - 1);
}

export interface LogBucketOptions {
  /** Distances below half of it are their own buckets. */
  bucketSize: number;
  /** The distance at which buckets end. */
  maxPosition: number;
}

/** Bucket of a relative position with logarithms beyond half the bucket size (DeBERTa v2; He et al., 2021). */
export function debertaBucket(relative: number, { bucketSize, maxPosition }: LogBucketOptions): number {
  checkInteger('debertaBucket', 'relative', relative, -(2 ** 31), 2 ** 31);
  checkInteger('debertaBucket', 'bucketSize', bucketSize, 4, 2 ** 31 - 1);
  const mid = Math.floor(bucketSize / 2);
  checkInteger('debertaBucket', 'maxPosition', maxPosition, mid + 2, 2 ** 31 - 1);
  const distance = Math.abs(relative) < mid ? mid - 1 : Math.abs(relative);
  if (distance <= mid) return relative;
  const share = f(f(Math.log(f(distance / mid))) / f(Math.log(f((maxPosition - 1) / mid))));
  return (Math.ceil(f(share * (mid - 1))) + mid) * Math.sign(relative);
}

/**
 * Slopes of ALiBi (Press et al., 2022, section 3): 2^(-biasMax i / n) for a power of two n; for another number of heads
 * those of the next lower power, then every second one of its double. `biasMax` is MPT's alibi_bias_max, default 8.
 */
export function alibiSlopes(numHeads: number, options: { biasMax?: number | undefined } = {}): Float64Array {
  checkInteger('alibiSlopes', 'numHeads', numHeads, 1, 2 ** 16);
  checkOptions('alibiSlopes', options, ['biasMax']);
  const { biasMax = 8 } = options;
  checkNumber('alibiSlopes', 'biasMax', biasMax);
  if (biasMax <= 0) throw rangeError('alibiSlopes', 'biasMax', 'above 0', biasMax);
  const power = 2 ** Math.floor(Math.log2(numHeads));
  return Float64Array.from({ length: numHeads }, (_, i) =>
    i < power ? 2 ** ((-biasMax * (i + 1)) / power) : 2 ** ((-biasMax * (2 * (i - power) + 1)) / (2 * power)),
  );
}
