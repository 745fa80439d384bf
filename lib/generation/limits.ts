import { rangeError } from '../check';
import type { GenerationOptions } from './options';

/** What a model and its prompts leave room for. */
export interface GenerationLimits {
  vocabSize: number;
  /** Tokens that the model was made for. */
  contextLength: number;
  /** Tokens that a sequence can have. */
  maxPositions: number;
  batch: number;
  /** Tokens of the longest prompt; of a decoder's, where there is an encoder. */
  promptLength: number;
  /** The same, padding counted. */
  paddedLength: number;
}

/**
 * Steps to run at most. Limits that the caller gives must fit; the folder's, and the context's, are cut to what there is
 * room for.
 */
export function stepsOf(
  name: string,
  given: GenerationOptions,
  defaults: GenerationOptions,
  { contextLength, maxPositions, promptLength, paddedLength }: GenerationLimits,
): number {
  const { maxNewTokens, maxLength } = given;
  // The last token needs no position of its own.
  const room = maxPositions - promptLength + 1;
  if (room < 1) {
    throw new RangeError(
      `[${name}] a prompt of ${promptLength} tokens does not fit the context of ${maxPositions} tokens`,
    );
  }
  if (maxNewTokens !== undefined) {
    if (maxNewTokens > room) {
      const wanted = `at most ${room}: the room that the prompt leaves in the context`;
      throw rangeError(name, 'maxNewTokens', wanted, maxNewTokens);
    }
    return maxNewTokens;
  }
  if (maxLength !== undefined) {
    const steps = maxLength - paddedLength;
    if (steps < 1 || steps > room) {
      const wanted = `above the ${paddedLength} tokens of the prompt, at most ${paddedLength + room}`;
      throw rangeError(name, 'maxLength', wanted, maxLength);
    }
    return steps;
  }
  const left = Math.max(1, contextLength - promptLength);
  const ofFolder = defaults.maxNewTokens ?? (defaults.maxLength ?? 0) - paddedLength;
  return Math.min(ofFolder > 0 ? ofFolder : left, room);
}
