import type { TokenBias } from '../ops/logits-processors';
import type { WarperOptions } from '../ops/warpers';

/**
 * Options of generation that change the scores of tokens before one is chosen. Names and meaning of the reference
 * (transformers 4.44.2) where it has them; the formulas stand in native/ops/process_logits.h.
 */
export interface ProcessorOptions extends WarperOptions {
  /** Sequences of tokens and what is added to the score of the last of them where it would complete one. */
  sequenceBias?: readonly TokenBias[] | undefined;
  /** What is added to the scores of tokens: by id, or as pairs [id, bias]; -Infinity bans. */
  logitBias?: Readonly<Record<number, number>> | readonly (readonly [id: number, bias: number])[] | undefined;
  /** Taken from what groups of beams before chose, for each of their choices; at least 0. Default 0. */
  diversityPenalty?: number | undefined;
  /** Above 1: tokens of the encoder's source get likelier; above 0. Default 1. */
  encoderRepetitionPenalty?: number | undefined;
  /** Above 1: tokens said before get less likely; above 0. Default 1. */
  repetitionPenalty?: number | undefined;
  /** Taken from a token's score for each time that it was generated, in [-2, 2]. Default 0. */
  frequencyPenalty?: number | undefined;
  /** Taken from the score of a token that was generated, in [-2, 2]. Default 0. */
  presencePenalty?: number | undefined;
  /**
   * Tokens that the three penalties above look back at; at least 1. Default: all, and for frequency and presence those
   * that were generated; with order 'llama.cpp' the last 64, for all three prompt and all.
   */
  penaltyLastN?: number | undefined;
  /** Don't repeat yourself: what continuing a repetition costs; at least 0. Default 0. */
  dryMultiplier?: number | undefined;
  /** How that grows with each token repeated; at least 1. Default 1.75. */
  dryBase?: number | undefined;
  /** Repetitions shorter than this cost nothing. Default 2. */
  dryAllowedLength?: number | undefined;
  /** Tokens that no repetition goes beyond. Default none. */
  drySequenceBreakers?: readonly number[] | undefined;
  /** Tokens that it looks back at; at least 1. Default all. */
  dryPenaltyLastN?: number | undefined;
  /** No n tokens in a row come twice; 0: off. Default 0. */
  noRepeatNgramSize?: number | undefined;
  /** No n tokens in a row of the encoder's source come; 0: off. Default 0. */
  encoderNoRepeatNgramSize?: number | undefined;
  /** Sequences of tokens that never come; one that is an end token alone counts for nothing. */
  badWordsIds?: readonly (readonly number[])[] | undefined;
  /** No end token before this many tokens, prompt counted. Default 0. */
  minLength?: number | undefined;
  /** No end token before this many new tokens. Default 0. */
  minNewTokens?: number | undefined;
  /** The first token of an encoder-decoder. */
  forcedBosTokenId?: number | null | undefined;
  /** The last token, where there is no room for more. */
  forcedEosTokenId?: number | readonly number[] | null | undefined;
  /** NaN counts as 0 and ±∞ as the largest float32. Default false. */
  removeInvalidValues?: boolean | undefined;
  /** [start, factor]: end tokens get likelier once start new tokens have come, exponentially. */
  exponentialDecayLengthPenalty?: readonly [start: number, factor: number] | undefined;
  /** Tokens that never come. */
  suppressTokens?: readonly number[] | undefined;
  /** Tokens that do not come first. */
  beginSuppressTokens?: readonly number[] | undefined;
  /** The temperature goes by the entropy, from temperature - range to temperature + range; at least 0. Default 0. */
  dynatempRange?: number | undefined;
  /** How; above 0. Default 1. */
  dynatempExponent?: number | undefined;
  /** Exclude top choices: how often, in [0, 1]. Default 0. */
  xtcProbability?: number | undefined;
  /** From which probability on a token is a top choice, in [0, 1]. Default 0.1. */
  xtcThreshold?: number | undefined;
  /** 2: mirostat 2.0; 0: off. Default 0. */
  mirostat?: number | undefined;
  /** The surprise that mirostat aims at, in bits; above 0. Default 5. */
  mirostatTau?: number | undefined;
  /** How fast it gets there; above 0. Default 0.1. */
  mirostatEta?: number | undefined;
  /** Scores become log-probabilities at the end. Default false. */
  renormalizeLogits?: boolean | undefined;
}

/** In which order processors are applied: that of transformers 4.44.2, llama.cpp or vLLM. */
export type ProcessorOrder = 'hf' | 'llama.cpp' | 'vllm';

/** What processors need to know beside their options. */
export interface ProcessorContext {
  /** Of the function that errors name. Default 'processorsOf'. */
  name?: string | undefined;
  /** Default 'hf'. */
  order?: ProcessorOrder | undefined;
  /** Default none. */
  eosTokenIds?: readonly number[] | undefined;
  /** Tokens that no warper drops; the reference takes 2 and more for beams. Default 1. */
  minTokensToKeep?: number | undefined;
  /** Begin with log-softmax, as beams do. Default false. */
  logSoftmax?: boolean | undefined;
}
