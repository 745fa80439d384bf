import { checkInteger } from '../check';
import { checkValues, GENERATION_OPTIONS, type GenerationOptions } from './options';

/** What a folder's files say of generation: values that are options here, and names of active ones that are not. */
export interface FolderDefaults {
  options: GenerationOptions;
  unsupported: string[];
}

/** Keys that change what is generated, and that heddle does not have. */
const UNSUPPORTED = [
  ...['forced_decoder_ids', 'watermarking_config', 'prompt_lookup_num_tokens', 'dola_layers', 'constraints'],
];

/** Options that no file can hold, or that are a caller's business. */
const NOT_IN_FILES: readonly (keyof GenerationOptions)[] = [
  ...(['logitsProcessor', 'prefixAllowedTokensFn', 'signal', 'capture', 'seed', 'negativePrompt'] as const),
  ...(['decoderIds', 'returnScores', 'logprobs', 'stopStrings', 'numReturnSequences'] as const),
];

/** Lists of token ids, which config.json may have, too. */
const TOKENS: readonly (keyof GenerationOptions)[] = [
  ...(['eosTokenId', 'padTokenId', 'decoderStartTokenId', 'forcedBosTokenId', 'forcedEosTokenId'] as const),
  ...(['badWordsIds', 'suppressTokens', 'beginSuppressTokens'] as const),
];

const snakeCase = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Ids that are none of the vocabulary are left out: such a token never comes. */
function known(value: unknown, vocabSize: number): unknown {
  if (!Array.isArray(value))
    return Number.isInteger(value) && ((value as number) < 0 || (value as number) >= vocabSize) ? undefined : value;
  const lists = (value as unknown[]).map((one) => known(one, vocabSize)).filter((one) => one !== undefined);
  return lists.filter((one) => !Array.isArray(one) || one.length > 0);
}

/**
 * Defaults from config.json (its token ids) and generation_config.json, whose keys are those of the options in
 * snake_case.
 *
 * @throws TypeError, RangeError naming the key of a wrong value. Ids outside the vocabulary, which some files have, are
 *   left out.
 */
export function readDefaults(
  config: Readonly<Record<string, unknown>>,
  generation: Readonly<Record<string, unknown>> = {},
  vocabSize: number,
): FolderDefaults {
  const options: Record<string, unknown> = {};
  for (const key of GENERATION_OPTIONS) {
    if (NOT_IN_FILES.includes(key)) continue;
    const name = snakeCase(key);
    const isToken = TOKENS.includes(key);
    const value = generation[name] ?? (isToken ? config[name] : undefined) ?? undefined;
    if (value === undefined) continue;
    const kept = isToken ? known(value, vocabSize) : value;
    if (kept !== undefined) options[key] = kept;
  }
  const { sequence_bias: biases } = generation;
  // The reference writes its dictionary of tuples as a list of pairs.
  if (Array.isArray(biases)) options.sequenceBias = biases;
  if (options.eosTokenId !== undefined && !Array.isArray(options.eosTokenId)) {
    checkInteger('loadModel', 'eos_token_id', options.eosTokenId, 0, vocabSize - 1);
  }
  checkValues('loadModel', options, (key) => `generation_config.json: ${snakeCase(key)}`);
  return {
    options,
    unsupported: UNSUPPORTED.filter((key) => (generation[key] ?? undefined) !== undefined),
  };
}
