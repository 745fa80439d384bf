/**
 * The one door to the package @huggingface/tokenizers. Its own declarations import without file extensions, which
 * `module: node20` refuses, so what is used of them is declared here and the module is not imported but required.
 */
export interface Backend {
  readonly model: { readonly vocab: readonly (string | undefined)[] };
  /** An id is undefined where the vocabulary has neither the token nor an unknown token. */
  encode(
    text: string,
    options: { add_special_tokens: boolean },
  ): { readonly ids: readonly (number | undefined)[]; readonly tokens: readonly string[] };
  /** Throws where `ids` is empty. */
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
}

/** What is read here of a folder's tokenizer.json; the rest is the package's affair. */
export interface TokenizerJson {
  readonly model: { readonly type?: string; readonly unk_token?: string | null };
  readonly added_tokens?: readonly { readonly id: number; readonly special?: boolean }[];
}

/** A folder's tokenizer_config.json. */
export type TokenizerConfig = Readonly<Record<string, unknown>>;

/** A special token in tokenizer_config.json is its text or an object that has it as `content`. */
export function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
  return typeof content === 'string' ? content : undefined;
}

/** Loaded when the first tokenizer is, so that a program that works on ids alone never pays for it. */
export function createBackend(json: TokenizerJson, config: TokenizerConfig): Backend {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- see above
  const { Tokenizer } = require('@huggingface/tokenizers') as {
    Tokenizer: new (json: object, config: object) => Backend;
  };
  const absent = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  // The package looks for the unknown token of a WordLevel model only in the config.
  const unknown = contentOf(config.unk_token) ?? json.model.unk_token;
  return new Tokenizer({ ...absent, ...json }, { ...config, unk_token: unknown });
}
