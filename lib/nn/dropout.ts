import { checkBoolean, checkInteger, checkNumber, rangeError } from '../check';
import { dropout, type RandomCounter } from '../ops/random';
import type { Tensor } from '../tensor/tensor';

/** The draws of a seed, one after the other, for the layers that one pass goes through. */
export class Draws {
  #step = 0;

  /** @param seed a whole number from 0 to 2^53 - 1. */
  constructor(readonly seed = 0) {
    checkInteger('Draws', 'seed', seed, 0);
  }

  next(): RandomCounter {
    return { seed: this.seed, step: this.#step++ };
  }
}

/** How layers with dropout are run: without these options nothing is dropped. */
export interface PassOptions {
  /** Dropout is on (Srivastava et al., 2014). Default false. */
  training?: boolean | undefined;
  /**
   * Dropout is on though this is no training: each seed gives a sample of the prediction (Gal and Ghahramani, 2016,
   * section 3). Default false.
   */
  mcDropout?: boolean | undefined;
  /** Fixes what is dropped. Layers that are called one by one share a `Draws`, so that each drops its own. Default 0. */
  seed?: number | Draws | undefined;
}

export const PASS_KEYS = ['training', 'mcDropout', 'seed'] as const;

/** For layers: the draws of a pass; undefined where nothing is dropped. */
export function drawsOf(name: string, options: PassOptions): Draws | undefined {
  const { training = false, mcDropout = false, seed = 0 } = options;
  checkBoolean(name, 'training', training);
  checkBoolean(name, 'mcDropout', mcDropout);
  if (!(seed instanceof Draws)) checkInteger(name, 'seed', seed, 0);
  if (!training && !mcDropout) return undefined;
  return seed instanceof Draws ? seed : new Draws(seed);
}

/** For layers: what a pass is for the layers within. */
export function passOf(draws: Draws | undefined): PassOptions {
  return { training: draws !== undefined, seed: draws };
}

/** For layers: x with the next draw's elements dropped. */
export function drop(x: Tensor, p: number, draws: Draws | undefined): Tensor {
  return draws && p > 0 ? dropout(x, { p, ...draws.next() }) : x;
}

/** A probability that a layer was given. */
export function checkDropout(name: string, p: unknown): void {
  checkNumber(name, 'dropout', p);
  if (p < 0 || p > 1) throw rangeError(name, 'dropout', 'in [0, 1]', p);
}
