import path from 'node:path';
import { inspect, types } from 'node:util';

import { checkBoolean, checkOptions } from '../check';
import { readJson } from '../json';
import { type Backend, contentOf, createBackend, type TokenizerConfig, type TokenizerJson } from './backend';
import { cleanUp } from './clean-up';

export interface EncodeOptions {
  /** Adds what the model expects around a text, such as [CLS] and [SEP]; default true. */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leaves out the tokens that are not text, such as [CLS] and </s>; default true. */
  readonly skipSpecialTokens?: boolean;
}

const SPECIAL_TOKENS = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/**
 * Text to token ids and back, as the `tokenizer.json` of a Hugging Face folder says. Padding and truncation that the
 * file may ask for are left to the caller, who knows the batch and the model.
 */
export class Tokenizer {
  /** Ids are in [0, vocabSize); a model may have more rows than this in its embedding. */
  readonly vocabSize: number;
  /** Whether `decode` takes out spaces before punctuation, on top of what the decoder does. */
  readonly cleansUp: boolean;

  readonly #backend: Backend;
  readonly #special: ReadonlySet<number>;

  private constructor(json: TokenizerJson, config: TokenizerConfig) {
    this.#backend = createBackend(json, config);
    this.vocabSize = this.#backend.model.vocab.length;
    this.cleansUp = asksForCleanUp(json, config);
    this.#special = this.#specialIds(json, config);
  }

  /**
   * Reads `tokenizer.json` and, if there, `tokenizer_config.json`.
   *
   * @returns undefined where the folder has no `tokenizer.json`.
   * @throws Error naming the file, where it cannot be read, is not JSON or asks for what the tokenizers package lacks.
   */
  static async load(folder: string): Promise<Tokenizer | undefined> {
    if (typeof folder !== 'string') {
      throw new TypeError(`[Tokenizer.load] folder must be a string but got ${inspect(folder)}`);
    }
    const file = path.join(folder, 'tokenizer.json');
    const json = await readJson('Tokenizer.load', file);
    if (json === undefined) return undefined;
    const config = (await readJson('Tokenizer.load', path.join(folder, 'tokenizer_config.json'))) ?? {};
    try {
      return new Tokenizer(json as unknown as TokenizerJson, config);
    } catch (cause) {
      throw new Error(`[Tokenizer.load] ${file} is not a tokenizer: ${(cause as Error).message}`, { cause });
    }
  }

  /** @throws RangeError where the text has a token that the vocabulary lacks and there is no unknown token. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    checkOptions('Tokenizer.encode', options, ['addSpecialTokens']);
    const { addSpecialTokens = true } = options;
    if (typeof text !== 'string') {
      throw new TypeError(`[Tokenizer.encode] text must be a string but got ${inspect(text)}`);
    }
    checkBoolean('Tokenizer.encode', 'addSpecialTokens', addSpecialTokens);
    const { ids, tokens } = this.#backend.encode(text, { add_special_tokens: addSpecialTokens });
    return ids.map((id, i) => {
      if (id !== undefined) return id;
      throw new RangeError(`[Tokenizer.encode] text has ${inspect(tokens[i])}, for which there is no token`);
    });
  }

  decode(ids: readonly number[] | Int32Array, options: DecodeOptions = {}): string {
    checkOptions('Tokenizer.decode', options, ['skipSpecialTokens']);
    const { skipSpecialTokens = true } = options;
    if (!Array.isArray(ids) && !types.isInt32Array(ids)) {
      throw new TypeError(`[Tokenizer.decode] ids must be an array or an Int32Array but got ${inspect(ids)}`);
    }
    checkBoolean('Tokenizer.decode', 'skipSpecialTokens', skipSpecialTokens);
    const list = Array.from<number>(ids);
    list.forEach((id, i) => {
      this.checkId(`[Tokenizer.decode] ids[${i}]`, id);
    });
    const text = this.decodeTokens(list, skipSpecialTokens);
    return this.cleansUp ? cleanUp(text) : text;
  }

  /** For the library: `decode` of ids known to be valid, without the last step: the clean-up. */
  decodeTokens(ids: readonly number[], skipSpecialTokens: boolean): string {
    const kept = ids.filter((id) => this.idToToken(id) !== undefined && !(skipSpecialTokens && this.isSpecial(id)));
    if (kept.length === 0) return '';
    return this.#backend.decode(kept, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false });
  }

  /** @returns undefined where the vocabulary lacks the token. */
  tokenToId(token: string): number | undefined {
    return this.#backend.token_to_id(token);
  }

  /** @returns undefined where the vocabulary has no token at this id: outside [0, vocabSize), or a gap. */
  idToToken(id: number): string | undefined {
    if (typeof id !== 'number') throw new TypeError(`[Tokenizer.idToToken] id must be a number but got ${inspect(id)}`);
    return this.#backend.model.vocab[id];
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** For the library: throws unless `id` is in [0, vocabSize); `what` names the function and the argument. */
  checkId(what: string, id: unknown): void {
    if (typeof id !== 'number') throw new TypeError(`${what} must be a number but got ${inspect(id)}`);
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new RangeError(`${what} must be a token id in [0, ${this.vocabSize}) but got ${id}`);
    }
  }

  #specialIds(json: TokenizerJson, config: TokenizerConfig): Set<number> {
    const added = (json.added_tokens ?? []).filter(({ special }) => special).map(({ id }) => id);
    const more: unknown[] = Array.isArray(config.additional_special_tokens) ? config.additional_special_tokens : [];
    const named = [...SPECIAL_TOKENS.map((name) => config[name]), ...more].map(contentOf);
    const ids = named.map((token) => (token === undefined ? undefined : this.tokenToId(token)));
    return new Set([...added, ...ids.filter((id) => id !== undefined)]);
  }
}

/**
 * As transformers 5: off unless the config asks for it, and ignored for BPE, whose own spaces it would eat (`x != y`),
 * unless the config insists.
 */
function asksForCleanUp({ model }: TokenizerJson, config: TokenizerConfig): boolean {
  const insists = config.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output === true;
  return config.clean_up_tokenization_spaces === true && (model.type !== 'BPE' || insists);
}
