import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { forward, type ForwardInput, type ForwardResult } from './forward';
import type { Hypothesis } from './generation/beams';
import { continueRows, searchBeams } from './generation/generate';
import type { DecoderModel } from './generation/model';
import { readDefaults, resolveOptions, type GenerationOptions, type GenerationSettings } from './generation/options';
import { readJson } from './json';
import { describeModel, type InfoOptions, type ModelInfo } from './models/info';
import { loadNetwork, readConfig, type LoadOptions } from './models/load';
import type { Network } from './models/recipe';
import { Decoder } from './nn/decoder';
import { EncoderDecoder } from './nn/encoder-decoder';
import { piecesOf, Row, wholeText, type FinishReason, type Piece } from './pieces';
import { resolvePrompt, type ManyPrompts, type OnePrompt, type Prompt, type PromptRow } from './prompt';
import { scoreRow, type Scored } from './score';
import { checkOneOf, checkOptions, rangeError, typeError } from './check';
import { findDevice, sync, type Device, type DeviceName } from './tensor/device';
import { FLOAT_DTYPES, type FloatDType } from './tensor/tensor';
import { Tokenizer } from './tokenizer/tokenizer';

/** A continued prompt. */
export interface Generated {
  /** The new text; empty for a model without a tokenizer. */
  text: string;
  /** The new tokens, an end token included. */
  tokens: number[];
  finishReason: FinishReason;
  /** Of beam search: the sum of log-probabilities over length ^ lengthPenalty. */
  score?: number;
}

export interface ScoreOptions {
  signal?: AbortSignal | undefined;
}

export interface LoadModelOptions extends LoadOptions {
  /** Default 'auto': the first GPU that can be used, else the CPU; the model's `device` says which. */
  device?: 'auto' | Device | undefined;
}

function checkSignal(name: string, signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError(name, 'signal', 'an AbortSignal', signal);
  }
}

/** A loaded model: text in, text out. Free it with `dispose()` or `await using`. */
export class Model implements AsyncDisposable {
  readonly #network: Network;
  readonly #defaults: GenerationOptions;
  /** Of the generations under way: what ends them. */
  readonly #running = new Set<AbortController>();
  #disposed = false;

  /** Not for users: see loadModel. */
  constructor(
    network: Network,
    /** The folder's config.json. */
    readonly config: Readonly<Record<string, unknown>>,
    /** Undefined where the folder has none: then prompts are token ids. */
    readonly tokenizer: Tokenizer | undefined,
    defaults: GenerationOptions,
  ) {
    this.#network = network;
    this.#defaults = defaults;
  }

  /** Where it runs. */
  get device(): DeviceName {
    return this.#network.device;
  }
  get vocabSize(): number {
    return this.#network.options.vocabSize;
  }
  /** Of weights, activations and cache; logits are float32. */
  get dtype(): FloatDType {
    return this.#network.dtype;
  }
  /** Tokens that it was made for. */
  get contextLength(): number {
    return this.#network.options.contextLength;
  }

  /**
   * Continues one prompt, or many at once.
   *
   * @throws TypeError, RangeError for prompts and options that do not fit; the signal's reason.
   */
  async generate(prompt: OnePrompt, options?: GenerationOptions): Promise<Generated>;
  async generate(prompt: ManyPrompts, options?: GenerationOptions): Promise<Generated[]>;
  async generate(prompt: Prompt, options?: GenerationOptions): Promise<Generated | Generated[]>;
  async generate(prompt: Prompt, options: GenerationOptions = {}): Promise<Generated | Generated[]> {
    const { rows, many, settings } = this.#prepare('Model.generate', prompt, options);
    const results = await this.#generate(rows, settings);
    return many || settings.numReturnSequences > 1 ? results : results[0]!;
  }

  async #generate(rows: PromptRow[], settings: GenerationSettings): Promise<Generated[]> {
    if (settings.numBeams > 1) {
      const hypotheses: Hypothesis[][] = [];
      for await (const found of this.#decode('Model.generate', searchBeams, rows, settings)) hypotheses.push(...found);
      return hypotheses.flat().map(({ tokens, score }) => ({ ...wholeText(this.tokenizer, tokens, settings), score }));
    }
    const results = Array.from({ length: rows.length }, (): Generated => ({
      text: '',
      tokens: [],
      finishReason: 'length',
    }));
    for await (const { index, text, tokens, finishReason } of this.#run('Model.generate', rows, settings)) {
      const result = results[index]!;
      result.text += text;
      result.tokens.push(...tokens);
      if (finishReason !== null) result.finishReason = finishReason;
    }
    return results;
  }

  /**
   * The same, piece by piece. Leaving the loop ends the work.
   *
   * @throws as generate does: at once for prompts and options, later from the loop.
   */
  stream(prompt: Prompt, options: GenerationOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const { rows, settings } = this.#prepare('Model.stream', prompt, options);
    return this.#run('Model.stream', rows, settings);
  }

  /**
   * How likely the model finds a text: ln p of each token given those before.
   *
   * @throws TypeError, RangeError for prompts that do not fit; the signal's reason.
   */
  async score(prompt: OnePrompt, options?: ScoreOptions): Promise<Scored>;
  async score(prompt: ManyPrompts, options?: ScoreOptions): Promise<Scored[]>;
  async score(prompt: Prompt, options?: ScoreOptions): Promise<Scored | Scored[]>;
  async score(prompt: Prompt, options: ScoreOptions = {}): Promise<Scored | Scored[]> {
    const name = 'Model.score';
    this.#checkAlive(name);
    checkOptions(name, options, ['signal']);
    checkSignal(name, options.signal);
    const decoder = this.#decoder(name);
    const { rows, many } = resolvePrompt(name, prompt, this.tokenizer, this.vocabSize);
    const { maxPositions } = decoder;
    rows.forEach(({ tokens: row }, b) => {
      if (row.length - 1 > maxPositions) {
        const which = many ? `[${b}]` : '';
        throw new RangeError(
          `[${name}] prompt${which} has ${row.length} tokens but there are ${maxPositions} positions`,
        );
      }
    });
    const scores: Scored[] = [];
    for (const { tokens: row } of rows) {
      this.#checkAlive(name);
      scores.push(await scoreRow(decoder, row, options.signal));
    }
    return many ? scores : (scores[0] as Scored);
  }

  /**
   * Sizes, operations, memory, and what is known of training such a model: nothing is run.
   *
   * @throws TypeError, RangeError for options that do not fit.
   */
  info(options?: InfoOptions): ModelInfo {
    return describeModel(this.#decoder('Model.info'), this.#architecture, options);
  }

  /**
   * Logits of every position of whole sequences, and inner tensors by path. The tensors are the caller's to dispose.
   *
   * @throws TypeError, RangeError for what does not fit.
   */
  forward(input: ForwardInput): ForwardResult {
    this.#checkAlive('Model.forward');
    return forward(this.#network, input, this.#architecture);
  }

  /**
   * Gives the weights back; generation under way rejects. Resolves when what was queued is done, and rejects with the
   * oldest failure that nobody has read.
   */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const reason = new TypeError('[Model.dispose] the model was disposed during generation');
    for (const generation of this.#running) generation.abort(reason);
    this.#network[Symbol.dispose]();
    await sync();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #checkAlive(name: string): void {
    if (this.#disposed) throw new TypeError(`[${name}] the model was disposed`);
  }

  get #architecture(): string {
    const { architectures: named, model_type: type } = this.config;
    return String((Array.isArray(named) ? (named as unknown[])[0] : undefined) ?? type);
  }

  /** For what only a decoder can do. */
  #decoder(name: string): Decoder {
    if (this.#network instanceof Decoder) return this.#network;
    const what = this.#network instanceof EncoderDecoder ? 'an encoder-decoder' : 'an encoder, which has no next token';
    throw new TypeError(`[${name}] ${this.#architecture} is ${what}: it has forward() only`);
  }

  #prepare(name: string, prompt: unknown, options: GenerationOptions) {
    this.#checkAlive(name);
    const { maxPositions } = this.#decoder(name);
    const { vocabSize, contextLength } = this;
    const { rows, many } = resolvePrompt(name, prompt, this.tokenizer, vocabSize);
    const promptLength = Math.max(...rows.map(({ tokens }) => tokens.length));
    const limits = { vocabSize, contextLength, maxPositions, batch: rows.length, promptLength };
    const settings = resolveOptions(name, options, this.#defaults, limits);
    if (settings.stopStrings.length > 0 && !this.tokenizer) {
      throw new TypeError(`[${name}] stopStrings need a tokenizer, which this model does not have`);
    }
    return { rows, many, settings };
  }

  async *#run(
    name: string,
    prompts: PromptRow[],
    settings: GenerationSettings,
  ): AsyncGenerator<Piece, void, undefined> {
    const rows = prompts.map(() => new Row(this.tokenizer, settings));
    for await (const steps of this.#decode(name, continueRows, prompts, settings)) {
      yield* piecesOf(rows, steps);
      if (rows.every((row) => row.finishReason !== null)) return;
    }
  }

  /** Runs a way of decoding, which ends when the signal, or the model's end, says so. */
  async *#decode<T>(
    name: string,
    run: (
      model: DecoderModel,
      prompts: readonly PromptRow[],
      settings: GenerationSettings,
    ) => AsyncGenerator<T, void, undefined>,
    prompts: PromptRow[],
    settings: GenerationSettings,
  ): AsyncGenerator<T, void, undefined> {
    this.#checkAlive(name);
    // One controller a generation, not AbortSignal.any: a long-lived signal would remember every call.
    const generation = new AbortController();
    const { signal: given } = settings;
    const abort = () => {
      generation.abort(given?.reason);
    };
    if (given?.aborted) abort();
    given?.addEventListener('abort', abort);
    this.#running.add(generation);
    try {
      yield* run(this.#decoder(name), prompts, { ...settings, signal: generation.signal });
    } finally {
      given?.removeEventListener('abort', abort);
      this.#running.delete(generation);
    }
  }
}

/** The folder of a model: 'builtin:name' is one that ships with the package. */
async function folderOf(source: unknown): Promise<string> {
  if (typeof source !== 'string') throw typeError('loadModel', 'folder', "a path or 'builtin:name'", source);
  if (source === '') throw rangeError('loadModel', 'folder', "a path or 'builtin:name'", source);
  if (!source.startsWith('builtin:')) return source;
  const folder = path.resolve(__dirname, '../models');
  const names = await readdir(folder);
  const name = source.slice('builtin:'.length);
  if (!names.includes(name)) throw rangeError('loadModel', 'folder', `builtin: and one of ${names.join(', ')}`, source);
  return path.join(folder, name);
}

/**
 * Loads a model from a Hugging Face folder (config.json; model.safetensors, whole or in shards; tokenizer.json and generation_config.json
 * if they are there), or one that ships with the package ('builtin:shakespeare').
 *
 * @throws Error with code FILE_NOT_FOUND or READ_FAILED; RangeError for what the files say; TypeError, RangeError for
 *   options; the signal's reason. A load that failed leaves nothing behind.
 */
export async function loadModel(folder: string, options: LoadModelOptions = {}): Promise<Model> {
  checkOptions('loadModel', options, ['device', 'dtype', 'onProgress', 'signal']);
  const { device = 'auto', dtype, onProgress, signal } = options;
  if (dtype !== undefined) checkOneOf('loadModel', 'dtype', dtype, FLOAT_DTYPES);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw typeError('loadModel', 'onProgress', 'a function', onProgress);
  }
  checkSignal('loadModel', signal);
  signal?.throwIfAborted();
  const target = await findDevice('loadModel', device);
  const place = await folderOf(folder);
  const config = await readConfig(place);
  const [tokenizer, generation] = await Promise.all([
    Tokenizer.load(place),
    readJson('loadModel', path.join(place, 'generation_config.json')),
  ]);
  const network = await loadNetwork(place, config, target, { dtype, onProgress, signal });
  try {
    const defaults = readDefaults(config.values, generation, network.options.vocabSize);
    if (defaults.unsupported.length > 0) {
      const names = defaults.unsupported.join(', ');
      process.emitWarning(`${place}: generation_config.json sets ${names}, which heddle does not have: left out`);
    }
    return new Model(network, config.values, tokenizer, defaults.options);
  } catch (error) {
    network[Symbol.dispose]();
    throw error;
  }
}
