import { checkInteger, checkOptions } from '../check';

// Buckets that relative positions fall into: one vector or number of a table for each.

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
export function debertaBucket(relative: number, options: LogBucketOptions): number {
  checkOptions('debertaBucket', options, ['bucketSize', 'maxPosition']);
  const { bucketSize, maxPosition } = options ?? {};
  checkInteger('debertaBucket', 'relative', relative, -(2 ** 31), 2 ** 31);
  checkInteger('debertaBucket', 'bucketSize', bucketSize, 4, 2 ** 31 - 1);
  const mid = Math.floor(bucketSize / 2);
  checkInteger('debertaBucket', 'maxPosition', maxPosition, mid + 2, 2 ** 31 - 1);
  const distance = Math.abs(relative) < mid ? mid - 1 : Math.abs(relative);
  if (distance <= mid) return relative;
  const share = f(f(Math.log(f(distance / mid))) / f(Math.log(f((maxPosition - 1) / mid))));
  return (Math.ceil(f(share * (mid - 1))) + mid) * Math.sign(relative);
}
