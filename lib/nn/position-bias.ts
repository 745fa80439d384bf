import { bias, byDistance, t5Distances, type Bias, type BiasPositions } from '../ops/bias';
import { scope } from '../tensor/scope';
import type { DeviceName } from '../tensor/device';
import { tensor, type Tensor } from '../tensor/tensor';
import type { ParameterSource } from './parameters';

/** Positions that are a bias of the scores. */
export interface PositionBias extends Disposable {
  /** `positions`: of queries and keys, where they are not their places among the keys. */
  bias(positions: BiasPositions): Bias;
}

/** Linear biases (Press et al., 2022): between places among the keys, so that padding does not count. */
export class Alibi implements PositionBias {
  readonly #slopes: Tensor;

  constructor(numHeads: number, device: DeviceName) {
    this.#slopes = tensor(Float32Array.from(bias.alibiSlopes(numHeads)), [numHeads], { device });
  }

  bias(): Bias {
    return bias.alibi(this.#slopes);
  }

  [Symbol.dispose](): void {
    this.#slopes.dispose();
  }
}

/** T5's relative positions: a learned number for each head and bucket of distances (Raffel et al., 2020, section 2.1). */
export interface BucketOptions {
  numBuckets: number;
  /** From here on, all distances share a bucket. */
  maxDistance: number;
}

/** One table for all blocks. */
export class Buckets implements PositionBias {
  readonly #table: Tensor;
  /** [H, 2 · maxDistance + 1] float32 */
  readonly #distances: Tensor;

  /** `bidirectional`: half of the buckets are for keys behind the query. */
  constructor(
    source: ParameterSource,
    path: string,
    { numBuckets, maxDistance }: BucketOptions,
    { numHeads, bidirectional }: { numHeads: number; bidirectional: boolean },
  ) {
    this.#table = source.dense(`${path}.weight`, [numBuckets, numHeads]);
    this.#distances = scope(() => {
      const byHead = t5Distances(this.#table, { bidirectional, maxDistance });
      return byHead.reshape([-1]).reshape(byHead.shape); // dense
    });
  }

  bias(positions: BiasPositions): Bias {
    return byDistance(this.#distances, positions);
  }

  [Symbol.dispose](): void {
    this.#table.dispose();
    this.#distances.dispose();
  }
}
