import { native } from '../native';
import { checkInteger, checkNumber, checkOptions, rangeError } from '../check';
import type { DeviceName } from '../tensor/device';
import { shapeOf, tensor, unwrap, wrap, type Tensor } from '../tensor/tensor';

/** How a token is drawn from logits. */
export interface SamplingOptions {
  /** Logits are divided by it; above 0. Default 1. */
  temperature?: number | undefined;
  /** Only the k best tokens (and what equals the k-th); 0: all. Default 0. */
  topK?: number | undefined;
  /** Only the best tokens that together hold this mass, in (0, 1]. Default 1. */
  topP?: number | undefined;
}

export interface SampleOptions extends SamplingOptions {
  /** A whole number from 0 to 2^53 - 1. Default 0. */
  seed?: number | undefined;
  /** Which draw of the sequence this is, for all rows. Default 0. */
  step?: number | undefined;
}

export function checkSampling(name: string, { temperature = 1, topK = 0, topP = 1 }: SamplingOptions): void {
  checkNumber(name, 'temperature', temperature);
  if (temperature <= 0) throw rangeError(name, 'temperature', 'above 0', temperature);
  checkInteger(name, 'topK', topK, 0, 2 ** 31 - 1);
  checkNumber(name, 'topP', topP);
  if (topP <= 0 || topP > 1) throw rangeError(name, 'topP', 'in (0, 1]', topP);
}

/** Keys of the random generator for rows of sequences: [rows, 3] int32 (seed's low and high half, sequence). */
export function samplingKeys(rows: readonly { seed: number; sequence: number }[], device: DeviceName): Tensor {
  const values = rows.flatMap(({ seed, sequence }) => [(seed % 2 ** 32) | 0, Math.floor(seed / 2 ** 32), sequence]);
  return tensor(Int32Array.from(values), [rows.length, 3], { device });
}

/**
 * Draws a token per row from softmax(logits / temperature), cut by topK and then topP (Holtzman et al., 2019).
 * Random numbers come from Philox 4x32-10 (Salmon et al., 2011), keyed by seed, row and step.
 *
 * @param logits [B, V] float32; `cast` others.
 * @returns [B] int32. A row with NaN or without a finite maximum is a RangeError when the result is read (NO_CHOICE).
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function sample(logits: Tensor, options: SampleOptions = {}): Tensor {
  checkOptions('sample', options, ['temperature', 'topK', 'topP', 'seed', 'step']);
  checkSampling('sample', options);
  const { seed = 0, step = 0 } = options;
  checkInteger('sample', 'seed', seed, 0);
  checkInteger('sample', 'step', step, 0, 2 ** 31 - 1);
  const shape = shapeOf('sample', 'logits', logits);
  if (shape.length !== 2) throw rangeError('sample', 'logits', 'of shape [B, V]', shape);
  const rows = shape[0] ?? 0;
  const { device } = logits;
  using keys = samplingKeys(
    Array.from({ length: rows }, (_, sequence) => ({ seed, sequence })),
    device,
  );
  using steps = tensor(new Int32Array(rows).fill(step), [rows], { device });
  return sampleStep(logits, keys, steps, options);
}

/** For decoding loops: the same with keys [B, 3] and steps [B] on the device, and options already checked. */
export function sampleStep(logits: Tensor, keys: Tensor, steps: Tensor, options: SamplingOptions): Tensor {
  const { temperature = 1, topK = 0, topP = 1 } = options;
  return wrap(
    native.sample(
      unwrap('sample', 'logits', logits),
      unwrap('sample', 'keys', keys),
      unwrap('sample', 'steps', steps),
      temperature,
      topP,
      topK,
    ),
  );
}

/**
 * For decoding loops: writes `chosen` [B] into `tokens` [B], or `pad` where `finished` [B] is set, and sets `finished`
 * where a token is one of `ends` [E]. All int32.
 */
export function endOfSequence(chosen: Tensor, ends: Tensor, pad: number, tokens: Tensor, finished: Tensor): void {
  native.endOfSequence(
    unwrap('endOfSequence', 'chosen', chosen),
    unwrap('endOfSequence', 'ends', ends),
    pad,
    unwrap('endOfSequence', 'tokens', tokens),
    unwrap('endOfSequence', 'finished', finished),
  );
}
