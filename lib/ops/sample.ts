import { native } from '../native';
import { checkBoolean, checkInteger, checkNumber, checkOptions, rangeError } from '../check';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import { shapeOf, tensor, unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';
import { processLogits } from './process-logits';
import { WARPER_NAMES, warpersOf, type SamplingOptions, type WarperOptions } from './warpers';

export type { SamplingOptions } from './warpers';

export interface SampleOptions extends WarperOptions {
  /** A whole number from 0 to 2^53 - 1. Default 0. */
  seed?: number | undefined;
  /** Which draw of the sequence this is, for all rows. Default 0. */
  step?: number | undefined;
}

export function checkSampling(name: string, options: SamplingOptions): void {
  warpersOf(name, options);
}

/** Keys of the random generator for rows of sequences: [rows, 3] int32 (seed's low and high half, sequence). */
export function samplingKeys(rows: readonly { seed: number; sequence: number }[], device: DeviceName): Tensor {
  const values = rows.flatMap(({ seed, sequence }) => [(seed % 2 ** 32) | 0, Math.floor(seed / 2 ** 32), sequence]);
  return tensor(Int32Array.from(values), [rows.length, 3], { device });
}

/**
 * Draws a token per row from softmax(logits), shaped by the options in the order temperature, topNSigma, topK, topP, minP,
 * typicalP, epsilonCutoff, etaCutoff: see `logitsProcessors` for each. Random numbers come from Philox 4x32-10 (Salmon et
 * al., 2011), keyed by seed, row and step.
 *
 * @param logits [B, V] float32; `cast` others.
 * @returns [B] int32. A row with NaN or without a finite maximum is a RangeError when the result is read (NO_CHOICE).
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function sample(logits: Tensor, options: SampleOptions = {}): Tensor {
  checkOptions('sample', options, [...WARPER_NAMES, 'seed', 'step']);
  const chain = warpersOf('sample', options);
  const { seed = 0, step = 0 } = options;
  checkInteger('sample', 'seed', seed, 0);
  checkInteger('sample', 'step', step, 0, 2 ** 31 - 1);
  const shape = shapeOf('sample', 'logits', logits);
  if (shape.length !== 2) throw rangeError('sample', 'logits', 'of shape [B, V]', shape);
  const rows = shape[0] ?? 0;
  const { device } = logits;
  return scope(() => {
    const keys = samplingKeys(
      Array.from({ length: rows }, (_, sequence) => ({ seed, sequence })),
      device,
    );
    const steps = tensor(new Int32Array(rows).fill(step), [rows], { device });
    return drawTokens(chain.length > 0 ? processLogits(logits, chain) : logits, keys, steps).tokens;
  });
}

/** For decoding loops: the same with keys [B, 3] and steps [B] on the device. */
export function sampleStep(logits: Tensor, keys: Tensor, steps: Tensor, options: WarperOptions): Tensor {
  const chain = warpersOf('sample', options);
  return drawTokens(chain.length > 0 ? processLogits(logits, chain) : logits, keys, steps).tokens;
}

export interface DrawOptions {
  /** Mirostat's state [B] float32, which is changed in place, and its target (bits) and learning rate. */
  mirostat?: { mu: Tensor; tau: number; eta: number } | undefined;
  /** Tell ln p of the tokens drawn, too. Default false. */
  returnLogProbs?: boolean | undefined;
}

/**
 * For decoding loops: draws from softmax(scores [B, V]), with keys [B, 3] and steps [B] as `samplingKeys` makes them.
 * Tokens are [B] int32, their log-probabilities [B] float32.
 */
export function drawTokens(
  scores: Tensor,
  keys: Tensor,
  steps: Tensor,
  { mirostat, returnLogProbs = false }: DrawOptions = {},
): { tokens: Tensor; logProbs?: Tensor } {
  const { mu, tau = 0, eta = 0 } = mirostat ?? {};
  checkNumber('sample', 'mirostatTau', tau);
  checkNumber('sample', 'mirostatEta', eta);
  checkBoolean('sample', 'returnLogProbs', returnLogProbs);
  const [tokens, logProbs] = native.sample(
    unwrap('sample', 'logits', scores),
    unwrap('sample', 'keys', keys),
    unwrap('sample', 'steps', steps),
    unwrapOptional('sample', 'mu', mu),
    tau,
    eta,
    returnLogProbs,
  );
  return { tokens: wrap(tokens), ...(returnLogProbs && { logProbs: wrap(logProbs) }) };
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
