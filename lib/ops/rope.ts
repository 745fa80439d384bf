import { native } from '../native';
import { checkBoolean, checkNumber, checkOptions } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';

export interface RopeOptions {
  /** Cosine and sine are multiplied by it (YaRN's attention factor). Default 1. */
  factor?: number | undefined;
  /** Pairs are (2i, 2i + 1), as in GPT-J; else (i, i + R / 2), as in Llama. Default false. */
  interleaved?: boolean | undefined;
}

/**
 * Rotary position embedding (Su et al., 2021, section 3.2.2): coordinate pairs of the first R turn by
 * position · frequency, the others stay.
 *
 * @param x [N, H, D] of a float dtype
 * @param positions [N] int32
 * @param frequencies [R / 2] float32, radians per position
 * @returns [N, H, D]
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function rope(x: Tensor, positions: Tensor, frequencies: Tensor, options: RopeOptions = {}): Tensor {
  checkOptions('rope', options, ['factor', 'interleaved']);
  const { factor = 1, interleaved = false } = options;
  checkNumber('rope', 'factor', factor);
  checkBoolean('rope', 'interleaved', interleaved);
  return wrap(
    native.rope(
      unwrap('rope', 'x', x),
      unwrap('rope', 'positions', positions),
      unwrap('rope', 'frequencies', frequencies),
      factor,
      interleaved,
    ),
  );
}

export interface RotateOptions {
  /** Pairs are (2i, 2i + 1), as in GPT-J; else (i, i + R / 2), as in Llama. Default false. */
  interleaved?: boolean | undefined;
  /** [B, T] int32: rows of the tables; one that they have not makes the result fail: INDEX_OUT_OF_RANGE. */
  positions?: Tensor | undefined;
}

/**
 * The rotation of `rope` by angles that are given: (a, b) → (a cos - b sin, b cos + a sin) for the pairs of the first R
 * coordinates, the others stay (ONNX RotaryEmbedding, opset 23).
 *
 * @param x [B, H, T, D] of a float dtype, any strides on the first three axes
 * @param cos [T, R / 2] or [B, T, R / 2]; with positions [P, R / 2]; of any float dtype
 * @param sin of the same shape
 * @returns [B, H, T, D]
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function rotate(x: Tensor, cos: Tensor, sin: Tensor, options: RotateOptions = {}): Tensor {
  checkOptions('rotate', options, ['interleaved', 'positions']);
  const { interleaved = false, positions } = options;
  checkBoolean('rotate', 'interleaved', interleaved);
  return wrap(
    native.rotate(
      unwrap('rotate', 'x', x),
      unwrap('rotate', 'cos', cos),
      unwrap('rotate', 'sin', sin),
      unwrapOptional('rotate', 'positions', positions),
      interleaved,
    ),
  );
}

/**
 * For models: frequencies of "dynamic" NTK scaling, whose base grows with the longest row; `last` [M] int32 holds the
 * last positions of the rows.
 */
export function dynamicFrequencies(
  last: Tensor,
  {
    base,
    factor,
    maxPositions,
    rotaryWidth,
  }: { base: number; factor: number; maxPositions: number; rotaryWidth: number },
): Tensor {
  return wrap(native.dynamicFrequencies(unwrap('rope', 'last', last), base, factor, maxPositions, rotaryWidth));
}
