import { promises as files } from 'node:fs'; // not node:fs/promises, which takes 2 ms to load
import * as path from 'node:path';
import { forward, type ForwardInput, type ForwardResult } from './forward';
import { readDefaults } from './generation/defaults';
import type { GenerationOptions, GenerationSettings } from './generation/options';
import type { Generated } from './generated';
import { checkStreamable, prepareJob, runJob, streamJob, type Job } from './jobs';
import { readJson } from './json';
import type { Config } from './models/config';
import { describeModel, type InfoOptions, type ModelInfo } from './models/info';
import { loadNetwork, readConfig, type LoadOptions } from './models/load';
import type { Network } from './models/recipe';
import { Decoder } from './nn/decoder';
import { EncoderDecoder } from './nn/encoder-decoder';
import type { Piece } from './pieces';
import { checkRows, resolvePrompt, type Ids, type ManyPrompts, type OnePrompt, type Prompt } from './prompt';
import { describeQuantization, type QuantizationReport, type QuantizationReportOptions } from './quantization';
import { Session } from './session';
import { scoreRow, type Scored } from './score';
import { checkOneOf, checkOptions, rangeError, typeError } from './check';
import { findDevice, sync, type Device, type DeviceName } from './tensor/device';
import { summary, translation, withoutLanguages, withPrefix, type TranslateOptions } from './tasks';
import { CACHE_DTYPES, FLOAT_DTYPES, QUANTIZED_DTYPES, type FloatDType } from './tensor/tensor';
import { Tokenizer } from './tokenizer/tokenizer';

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
  readonly #config: Config;
  #disposed = false;

  /** Not for users: see loadModel. */
  constructor(
    network: Network,
    config: Config,
    /** Undefined where the folder has none: then prompts are token ids. */
    readonly tokenizer: Tokenizer | undefined,
    defaults: GenerationOptions,
    /** Where it was read from. */
    readonly folder: string,
  ) {
    this.#network = network;
    this.#config = config;
    this.#defaults = defaults;
  }

  /** The folder's config.json. */
  get config(): Readonly<Record<string, unknown>> {
    return this.#config.values;
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
  async generate(prompt: Prompt, options: GenerationOptions & { numReturnSequences: number }): Promise<Generated[]>;
  async generate(prompt: OnePrompt, options?: GenerationOptions): Promise<Generated>;
  async generate(prompt: ManyPrompts, options?: GenerationOptions): Promise<Generated[]>;
  async generate(prompt: Prompt, options?: GenerationOptions): Promise<Generated | Generated[]>;
  async generate(prompt: Prompt, options: GenerationOptions = {}): Promise<Generated | Generated[]> {
    return await this.#generate('Model.generate', prompt, options, this.#defaults);
  }

  async #generate(name: string, prompt: Prompt, options: GenerationOptions, defaults: GenerationOptions) {
    const job = this.#prepare(name, prompt, options, defaults);
    using running = this.#start(name, job.settings);
    const results = await runJob({ ...job, settings: running.settings });
    return job.many || job.settings.numReturnSequences > 1 ? results : results[0]!;
  }

  /**
   * Translates a text, or several, with an encoder-decoder: generate() with what config.json says of the two languages.
   *
   * @throws TypeError, RangeError as generate does, and for languages that the model does not name.
   */
  async translate(text: string, options?: TranslateOptions): Promise<Generated>;
  async translate(text: readonly string[], options?: TranslateOptions): Promise<Generated[]>;
  async translate(text: string | readonly string[], options: TranslateOptions = {}): Promise<Generated | Generated[]> {
    const name = 'Model.translate';
    const own = withoutLanguages(name, options);
    const { prefix, defaults } = translation(name, this.config, this.tokenizer, options, this.vocabSize);
    return await this.#withTask(name, text, prefix, defaults, own);
  }

  /** Summarizes a text, or several, with an encoder-decoder: generate() with what config.json says of summaries. */
  async summarize(text: string, options?: GenerationOptions): Promise<Generated>;
  async summarize(text: readonly string[], options?: GenerationOptions): Promise<Generated[]>;
  async summarize(text: string | readonly string[], options: GenerationOptions = {}): Promise<Generated | Generated[]> {
    const { prefix, defaults } = summary(this.config, this.vocabSize);
    return await this.#withTask('Model.summarize', text, prefix, defaults, options);
  }

  async #withTask(
    name: string,
    text: string | readonly string[],
    prefix: string,
    defaults: GenerationOptions,
    options: GenerationOptions,
  ): Promise<Generated | Generated[]> {
    if (!(this.#network instanceof EncoderDecoder)) {
      throw new TypeError(`[${name}] ${this.#architecture} is no encoder-decoder`);
    }
    return await this.#generate(name, withPrefix(name, text, prefix), options, { ...this.#defaults, ...defaults });
  }

  /**
   * The same as generate(), piece by piece. Leaving the loop ends the work.
   *
   * @throws as generate does: at once for prompts and options, later from the loop.
   */
  stream(prompt: Prompt, options: GenerationOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const name = 'Model.stream';
    const job = this.#prepare(name, prompt, options);
    checkStreamable(name, job);
    return this.#stream(name, job);
  }

  async *#stream(name: string, job: Job): AsyncGenerator<Piece, void, undefined> {
    using running = this.#start(name, job.settings);
    yield* streamJob({ ...job, settings: running.settings });
  }

  /** A text that grows, whose beginning is read but once: see Session. For decoders. */
  session(): Session {
    const name = 'Model.session';
    this.#checkAlive(name);
    const pool = this.#decoder(name).createPool();
    return new Session({
      pool,
      encode: (caller, prompt, isFirst) => this.#encode(caller, prompt, isFirst),
      prepare: (caller, tokens, options) => this.#prepare(caller, tokens, options),
      start: (caller, settings) => this.#start(caller, settings),
    });
  }

  #encode(name: string, prompt: string | Ids, isFirst: boolean): readonly number[] {
    this.#checkAlive(name);
    if (typeof prompt !== 'string') {
      const { rows, many } = checkRows(name, 'prompt', prompt, this.vocabSize);
      if (many) throw typeError(name, 'prompt', 'one text, or the token ids of one', prompt);
      return [...rows[0]!];
    }
    if (!this.tokenizer) throw new TypeError(`[${name}] this model has no tokenizer: give token ids instead of text`);
    return this.tokenizer.encode(prompt, { addSpecialTokens: isFirst });
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
   * What quantizing did to the weights, and to the perplexity of a text: the folder is read once more.
   *
   * @throws TypeError, RangeError for options that do not fit; what loadModel throws; the signal's reason.
   */
  async quantizationReport(options: QuantizationReportOptions = {}): Promise<QuantizationReport> {
    const name = 'Model.quantizationReport';
    this.#checkAlive(name);
    checkOptions(name, options, ['text', 'signal']);
    const { text, signal } = options;
    checkSignal(name, signal);
    if (text !== undefined && typeof text !== 'string') throw typeError(name, 'text', 'a string', text);
    const cacheDtype = text === undefined ? undefined : this.#decoder(name).cacheDtype;
    const after = text === undefined ? undefined : (await this.score(text, { signal })).perplexity;
    const report = await describeQuantization(this.folder, this.#config, this.#network.parameters, signal);
    if (text === undefined || after === undefined) return report;
    await using plain = await loadModel(this.folder, { device: this.device, dtype: this.dtype, cacheDtype, signal });
    const { perplexity: before } = await plain.score(text, { signal });
    return { ...report, perplexity: { before, after } };
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

  /** For what has a next token. */
  #generator(name: string): Decoder | EncoderDecoder {
    const network = this.#network;
    if (network instanceof Decoder || network instanceof EncoderDecoder) return network;
    throw new TypeError(
      `[${name}] ${this.#architecture} is an encoder, which has no next token: it has forward() only`,
    );
  }

  /** For what only a decoder can do. */
  #decoder(name: string): Decoder {
    if (this.#network instanceof Decoder) return this.#network;
    const what = this.#network instanceof EncoderDecoder ? 'an encoder-decoder' : 'an encoder, which has no next token';
    throw new TypeError(`[${name}] ${this.#architecture} is ${what}: this is for decoders`);
  }

  #prepare(name: string, prompt: unknown, options: GenerationOptions, defaults = this.#defaults): Job {
    this.#checkAlive(name);
    const { tokenizer } = this;
    const generator = { network: this.#generator(name), architecture: this.#architecture, tokenizer, defaults };
    return prepareJob(name, generator, prompt, options);
  }

  /** Settings of a generation which ends when the given signal, or the model's end, says so; to be disposed of. */
  #start(name: string, settings: GenerationSettings): Disposable & { settings: GenerationSettings } {
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
    return {
      settings: { ...settings, signal: generation.signal },
      [Symbol.dispose]: () => {
        given?.removeEventListener('abort', abort);
        this.#running.delete(generation);
      },
    };
  }
}

/** The folder of a model: 'builtin:name' is one that ships with the package. */
async function folderOf(source: unknown): Promise<string> {
  if (typeof source !== 'string') throw typeError('loadModel', 'folder', "a path or 'builtin:name'", source);
  if (source === '') throw rangeError('loadModel', 'folder', "a path or 'builtin:name'", source);
  if (!source.startsWith('builtin:')) return source;
  const folder = path.resolve(__dirname, '../models');
  const names = await files.readdir(folder);
  const name = source.slice('builtin:'.length);
  if (!names.includes(name)) throw rangeError('loadModel', 'folder', `builtin: and one of ${names.join(', ')}`, source);
  return path.join(folder, name);
}

/**
 * Loads a model from a Hugging Face folder (config.json; model.safetensors, whole or in shards; tokenizer.json and generation_config.json
 * if they are there), or one that ships with the package ('builtin:shakespeare', 'builtin:dates').
 *
 * @throws Error with code FILE_NOT_FOUND or READ_FAILED; RangeError for what the files say; TypeError, RangeError for
 *   options; the signal's reason. A load that failed leaves nothing behind.
 */
export async function loadModel(folder: string, options: LoadModelOptions = {}): Promise<Model> {
  checkOptions('loadModel', options, ['device', 'dtype', 'quantize', 'cacheDtype', 'onProgress', 'signal']);
  const { device = 'auto', dtype, quantize, cacheDtype, onProgress, signal } = options;
  if (dtype !== undefined) checkOneOf('loadModel', 'dtype', dtype, FLOAT_DTYPES);
  if (quantize !== undefined) checkOneOf('loadModel', 'quantize', quantize, QUANTIZED_DTYPES);
  if (cacheDtype !== undefined) checkOneOf('loadModel', 'cacheDtype', cacheDtype, CACHE_DTYPES);
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
  const network = await loadNetwork(place, config, target, { dtype, quantize, cacheDtype, onProgress, signal });
  try {
    const defaults = readDefaults(config.values, generation, network.options.vocabSize);
    if (defaults.unsupported.length > 0) {
      const names = defaults.unsupported.join(', ');
      process.emitWarning(`${place}: generation_config.json sets ${names}, which heddle does not have: left out`);
    }
    return new Model(network, config, tokenizer, defaults.options, path.resolve(place));
  } catch (error) {
    network[Symbol.dispose]();
    throw error;
  }
}
