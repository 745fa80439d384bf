import { checkInteger } from '../check';
import { checkCount, checkMass, checkPositive, checkReal, checkWithin, logitsProcessors } from './logits-processors';
import type { LogitsProcessor } from './logits-processors';

/** How a token is drawn from logits. */
export interface SamplingOptions {
  /** Logits are divided by it; above 0. Default 1. */
  temperature?: number | undefined;
  /** Only the k best tokens (and what equals the k-th); 0: all. Default 0. */
  topK?: number | undefined;
  /** Only the best tokens that together hold this mass, in (0, 1]. Default 1. */
  topP?: number | undefined;
}

/** What shapes the distribution that a token is drawn from, and needs nothing but the logits. */
export interface WarperOptions extends SamplingOptions {
  /** Only tokens at least this many times as likely as the best, in [0, 1]; 0: all. Default 0. */
  minP?: number | undefined;
  /** Only the tokens of nearly expected surprise that together hold this mass, in (0, 1]. Default 1. */
  typicalP?: number | undefined;
  /** Only tokens of at least this probability, in [0, 1); 0: all. Default 0. */
  epsilonCutoff?: number | undefined;
  /** The same, less where the entropy is high, in [0, 1); 0: all. Default 0. */
  etaCutoff?: number | undefined;
  /** Only logits within so many standard deviations of the best; 0: all. Default 0. */
  topNSigma?: number | undefined;
}

type Warper = (name: string, value: number, minTokensToKeep: number) => LogitsProcessor | undefined;

const checkCutoff = (name: string, argument: string, value: unknown): void => {
  checkReal(name, argument, value, 'in [0, 1)', (x) => x >= 0 && x < 1);
};

/** What each option does; nothing for a value that leaves all as it is. In the order of transformers 4.44.2. */
export const WARPERS: Readonly<Record<keyof WarperOptions, Warper>> = {
  temperature: (name, value) => {
    checkPositive(name, 'temperature', value);
    return value === 1 ? undefined : logitsProcessors.temperature(value);
  },
  topNSigma: (name, value) => {
    checkReal(name, 'topNSigma', value, 'at least 0', (x) => x >= 0);
    return value === 0 ? undefined : logitsProcessors.topNSigma(value);
  },
  topK: (name, value, keep) => {
    checkCount(name, 'topK', value);
    return value === 0 ? undefined : logitsProcessors.topK(Math.max(value, keep));
  },
  topP: (name, value, minTokensToKeep) => {
    checkMass(name, 'topP', value);
    return value === 1 ? undefined : logitsProcessors.topP(value, { minTokensToKeep });
  },
  minP: (name, value, minTokensToKeep) => {
    checkWithin(name, 'minP', value, 0, 1);
    return value === 0 ? undefined : logitsProcessors.minP(value, { minTokensToKeep });
  },
  typicalP: (name, value, minTokensToKeep) => {
    checkMass(name, 'typicalP', value);
    return value === 1 ? undefined : logitsProcessors.typicalP(value, { minTokensToKeep });
  },
  epsilonCutoff: (name, value, minTokensToKeep) => {
    checkCutoff(name, 'epsilonCutoff', value);
    return value === 0 ? undefined : logitsProcessors.epsilonCutoff(value, { minTokensToKeep });
  },
  etaCutoff: (name, value, minTokensToKeep) => {
    checkCutoff(name, 'etaCutoff', value);
    return value === 0 ? undefined : logitsProcessors.etaCutoff(value, { minTokensToKeep });
  },
};

export const WARPER_NAMES = Object.keys(WARPERS) as (keyof WarperOptions)[];

/** @throws TypeError, RangeError naming an option that is wrong, for `name`. */
export function warpersOf(name: string, options: WarperOptions, minTokensToKeep = 1): LogitsProcessor[] {
  checkInteger(name, 'minTokensToKeep', minTokensToKeep, 1);
  return WARPER_NAMES.flatMap((key) => {
    const value = options[key];
    return value === undefined ? [] : (WARPERS[key](name, value, minTokensToKeep) ?? []);
  });
}
