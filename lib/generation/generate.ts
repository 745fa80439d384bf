import { checkInteger, typeError } from '../check';
import { logSoftmax } from '../ops/softmax';
import type { DeviceName } from '../tensor/device';
import type { Channel } from '../tensor/program';
import { scope } from '../tensor/scope';
import { tensor, type Tensor } from '../tensor/tensor';
import { readTokenReport, type TokenFacts } from '../ops/token-report';
import { BeamSearch, type Hypothesis } from './beams';
import { ConstrainedBeams } from './constrained';
import { ContrastiveSearch } from './contrastive';
import { decode, type Run, type Steps, type Task } from './loop';
import { int32, type DecoderModel, type PromptRow } from './model';
import type { GenerationSettings } from './options';
import { prefill } from './prefill';
import { Guidance } from './guidance';
import { Rows, type RowsOptions } from './rows';
import { Scoring, type ScoringInput } from './scoring';
import { TokenChoice, type Strategy } from './strategy';

/** A model that is held for one generation. */
export interface OpenModel extends DecoderModel, Disposable {
  /** Only these rows go on, if they are told apart: they are of different sources. */
  keep?(rows: Int32Array): void;
}

/** What is generated from. */
export interface GenerationInput {
  device: DeviceName;
  /** A model of so many rows a prompt. */
  open: (rowsPerPrompt: number) => OpenModel;
  /** What the decoder reads, one a prompt. */
  prompts: readonly PromptRow[];
  /** What processors take for the source: what the encoder read, padding included; without one, the prompts. */
  sources: readonly Int32Array[];
  /** Tokens of a single prompt whose keys are in the model's cache already; fewer than it has. Default 0. */
  held?: number | undefined;
  /** What guidance goes away from, one a prompt. */
  negatives?: readonly PromptRow[] | undefined;
}

/** Tokens of one row, as they come. */
export interface TokenNews {
  /** Of the rows, `rowsPerPrompt` a prompt. */
  row: number;
  tokens: number[];
  /** Of each, where log-probabilities are wanted. */
  facts: TokenFacts[];
  /** Of each, where scores are wanted: [V]. */
  scores: Float32Array[];
}

/** What tasks have in common: rows, the scoring, and JavaScript's part in it. */
abstract class GenerationTask<Output> implements Task<Output> {
  readonly model: OpenModel;
  readonly rows: Rows;
  readonly scoring: Scoring;
  abstract readonly strategy: Strategy | undefined;
  readonly process: ((logits: Tensor) => Promise<Tensor>) | undefined;

  constructor(
    { open, prompts, sources, held }: GenerationInput,
    readonly settings: GenerationSettings,
    histories: RowsOptions['histories'] = 'rows',
  ) {
    const { userProcessors, allowedTokens, returnScores, processors, warpers, rowsPerPrompt, maxSteps } = settings;
    const asksUser = userProcessors.length > 0 || allowedTokens !== undefined;
    const looksBack = asksUser || processors.length + warpers.length > 0;
    this.model = open(rowsPerPrompt);
    this.rows = new Rows(this.model, prompts, rowsPerPrompt, {
      ...{ maxSteps, held },
      histories: looksBack ? histories : 'none',
    });
    this.scoring = new Scoring(this.rows, settings, sources);
    if (asksUser) this.process = (logits) => this.#processWithUser(logits);
    else if (returnScores) this.process = (logits) => this.#seen(scope(() => this.score(logits)));
  }

  /** Logits → the scores that are picked from. */
  protected score(logits: Tensor): Tensor {
    return this.strategy?.process(logits) ?? this.scoring.apply(logits);
  }

  /** What processors look at beside what the scoring has. */
  protected get scoringInput(): ScoringInput {
    return {};
  }

  /** Is told of scores that are picked from, where they are wanted. */
  protected see(scores: Float32Array): void {
    throw new Error(`${scores.length} scores are told to nobody`);
  }

  async #seen(scores: Tensor): Promise<Tensor> {
    if (this.settings.returnScores) this.see(await scores.data());
    return scores;
  }

  /** The tokens that may come, then the processors, then the user's, then what shapes sampling. */
  async #processWithUser(logits: Tensor): Promise<Tensor> {
    const { userProcessors, allowedTokens, processors, warpers, numBeams } = this.settings;
    const { history, historiesPerPrompt } = this.rows;
    const { tokens, lengths } = history!;
    const [all, held] = await Promise.all([tokens.data<Int32Array>(), lengths.data<Int32Array>()]);
    const capacity = all.length / held.length;
    const rows = Array.from(held, (length, row) => all.subarray(row * capacity, row * capacity + length));
    /** Lets `body` change the scores of each row. */
    const change = async (scores: Tensor, body: (row: number, scores: Float32Array) => void): Promise<Tensor> => {
      using before = scores;
      const values = await before.data();
      const width = values.length / rows.length;
      for (const row of rows.keys()) body(row, values.subarray(row * width, (row + 1) * width));
      return tensor(values, before.shape, { device: before.device });
    };
    const apply = (scores: Tensor, chain: typeof processors): Tensor => {
      using before = scores;
      return scope(() => this.scoring.applyChain(before.reshape(before.shape), this.scoringInput, chain));
    };
    let scores = this.scoring.guidance
      ? this.scoring.guidance.apply(logits)
      : scope(() => (numBeams > 1 ? logSoftmax(logits) : logits.reshape(logits.shape)));
    if (allowedTokens) {
      scores = await change(scores, (row, values) => {
        const allowed: unknown = allowedTokens(Math.floor(row / historiesPerPrompt), rows[row]!);
        if (!Array.isArray(allowed)) {
          throw typeError('Model.generate', 'prefixAllowedTokensFn()', 'an array of token ids', allowed);
        }
        for (const [i, id] of (allowed as unknown[]).entries()) {
          checkInteger('Model.generate', `prefixAllowedTokensFn()[${i}]`, id, 0, values.length - 1);
        }
        const kept = (allowed as number[]).map((id) => [id, values[id]!] as const);
        values.fill(-Infinity);
        for (const [id, score] of kept) values[id] = score;
      });
    }
    scores = apply(scores, processors);
    if (userProcessors.length > 0) {
      scores = await change(scores, (row, values) => {
        for (const user of userProcessors) user(values, rows[row]!, row);
      });
    }
    return await this.#seen(apply(scores, warpers));
  }

  abstract receive(news: Int32Array): Iterable<Output>;
  abstract readonly done: boolean;
  abstract finish(): Promise<Iterable<Output>>;

  [Symbol.dispose](): void {
    for (const part of [this.strategy, this.scoring, this.scoring.guidance, this.rows, this.model])
      part?.[Symbol.dispose]();
  }
}

/** Rows that go on by themselves. */
abstract class TokenTask extends GenerationTask<TokenNews> {
  /** Of the steps whose news has not come. */
  readonly #scores: Float32Array[] = [];
  readonly #live: Set<number>;
  /** Which row each row of the model is: those that have ended drop out. */
  #order: number[];
  /** Of a step. */
  protected abstract readonly widths: { news: number; report: number };

  constructor(input: GenerationInput, settings: GenerationSettings, histories?: RowsOptions['histories']) {
    super(input, settings, histories);
    this.#order = Array.from({ length: this.rows.prompts.length * settings.numSequences }, (_, row) => row);
    this.#live = new Set(this.#order);
  }

  /** Places of the rows that go on, among those that the model has; undefined where it has no others. */
  protected get places(): Int32Array | undefined {
    if (this.#live.size === this.#order.length) return undefined;
    return Int32Array.from([...this.#order.keys()].filter((place) => this.#live.has(this.#order[place]!)));
  }
  protected moveUp(places: Int32Array): void {
    this.#order = Array.from(places, (place) => this.#order[place]!);
  }

  /** No more is wanted of a row. */
  end(row: number): void {
    this.#live.delete(row);
  }
  get done(): boolean {
    return this.#live.size === 0;
  }

  protected override see(scores: Float32Array): void {
    this.#scores.push(scores);
  }

  *receive(news: Int32Array): Generator<TokenNews, void, undefined> {
    const { widths } = this;
    const count = this.#order.length;
    const steps = news.length / widths.news;
    const scores = this.#scores.splice(0, steps);
    for (const [place, row] of this.#order.entries()) {
      if (!this.#live.has(row)) continue;
      const told: TokenNews = { row, tokens: [], facts: [], scores: [] };
      for (let step = 0; step < steps; ++step) {
        const at = step * widths.news;
        told.tokens.push(news[at + place]!);
        const report = at + count + place * widths.report;
        if (widths.report > 0) told.facts.push(readTokenReport(news.subarray(report, report + widths.report)));
        const all = scores[step];
        if (all) told.scores.push(all.slice((place * all.length) / count, ((place + 1) * all.length) / count));
      }
      yield told;
    }
  }

  finish(): Promise<Iterable<TokenNews>> {
    return Promise.resolve([]);
  }
}

/** Greedy search, sampling. */
class ChoiceTask extends TokenTask {
  readonly strategy: TokenChoice;
  readonly #guidance: Guidance | undefined;

  constructor(input: GenerationInput, settings: GenerationSettings) {
    super(input, settings);
    this.strategy = new TokenChoice(this.rows, this.scoring, settings);
    const { guidanceScale: scale } = settings;
    if (scale !== 1) {
      this.#guidance = new Guidance(this.model, this.rows, input.negatives!, { ...settings, scale });
      this.scoring.guidance = this.#guidance;
    }
  }

  start(channel: Channel): Promise<void> | undefined {
    return this.#guidance?.start(channel);
  }

  get canNarrow(): boolean {
    return !this.#guidance && !this.done && this.places !== undefined;
  }

  narrow(): void {
    const { places } = this;
    if (!places) return;
    this.strategy.keep(places);
    this.scoring.keep(places);
    this.rows.keep(places);
    this.model.keep?.(places);
    this.moveUp(places);
  }

  protected get widths() {
    return { news: this.strategy.newsWidth, report: this.strategy.reportWidth };
  }
  protected override get scoringInput(): ScoringInput {
    return this.strategy.scoringInput;
  }
}

class ContrastiveTask extends TokenTask {
  readonly strategy = undefined;
  readonly #search: ContrastiveSearch;

  constructor(input: GenerationInput, settings: GenerationSettings) {
    super(input, settings, 'prompts');
    this.#search = new ContrastiveSearch(this.rows, settings.contrastive);
  }

  protected get widths() {
    return { news: this.rows.prompts.length, report: 0 };
  }

  async *run({ channel, signal, maxSteps, deadline }: Run<TokenNews>): Steps {
    const { eosTokenIds, padTokenId } = this.settings;
    const finished = this.rows.prompts.map(() => false);
    this.#search.start(channel);
    for (let step = 0; step < maxSteps && finished.includes(false) && performance.now() < deadline; ++step) {
      signal?.throwIfAborted();
      using logits = this.#search.logits;
      using scores = this.process ? await this.process(logits) : channel.guard(() => scope(() => this.score(logits)));
      const chosen = await this.#search.step(scores, channel);
      const tokens = chosen.map((token, b) => (finished[b] ? padTokenId : token));
      tokens.forEach((token, b) => (finished[b] ||= eosTokenIds.includes(token)));
      using next = int32(this.model.device, tokens);
      this.rows.remember(next);
      yield tokens;
    }
  }

  override [Symbol.dispose](): void {
    this.#search[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

/** Beam search: all comes at the end. */
class BeamTask extends GenerationTask<Hypothesis[][]> {
  readonly strategy: BeamSearch;
  readonly done = false;

  constructor(input: GenerationInput, settings: GenerationSettings) {
    super(input, settings);
    this.strategy = new BeamSearch(this.rows, this.scoring, settings);
  }

  receive(news: Int32Array): Iterable<Hypothesis[][]> {
    this.strategy.receive(news);
    return [];
  }

  async finish(): Promise<Iterable<Hypothesis[][]>> {
    return [await this.strategy.results()];
  }
}

/** Beams that must bring words in: chosen in JavaScript, step by step. */
class ConstrainedTask extends GenerationTask<Hypothesis[][]> {
  readonly strategy = undefined;
  readonly done = false;
  readonly #beams: ConstrainedBeams[];

  constructor(input: GenerationInput, settings: GenerationSettings) {
    super(input, settings);
    this.#beams = input.prompts.map(({ padded }) => new ConstrainedBeams(padded, settings.forceWords, settings));
  }

  protected override score(logits: Tensor): Tensor {
    return this.scoring.apply(logSoftmax(logits));
  }

  async *run({ channel, signal, maxSteps, deadline, prefillChunkSize }: Run<Hypothesis[][]>): Steps {
    const { rows, model } = this;
    const { device } = model;
    let logits = await prefill(rows, prefillChunkSize, channel);
    for (let step = 0; step < maxSteps; ++step) {
      signal?.throwIfAborted();
      using before = logits;
      using scores = this.process ? await this.process(before) : channel.guard(() => scope(() => this.score(before)));
      const values = await scores.data();
      const width = values.length / this.#beams.length;
      const choices = this.#beams.map((beams, b) => beams.step(values.subarray(b * width, (b + 1) * width)));
      const enough = step === maxSteps - 1 || performance.now() >= deadline;
      if (enough || this.#beams.every((beams) => beams.done)) break;
      logits = channel.guard(() =>
        scope(() => {
          const tokens = int32(
            device,
            choices.flatMap((choice) => choice.tokens),
          );
          rows.reorder(
            int32(
              device,
              choices.flatMap(({ sources }, b) => sources.map((source) => b * rows.perPrompt + source)),
            ),
          );
          rows.remember(tokens);
          const { cache, single: cuSeqlens } = rows;
          return model.forward({ ids: tokens, positions: cache.lengths, cuSeqlens, cache }).logits;
        }),
      );
    }
    logits.dispose();
    yield new Int32Array(0); // all comes at the end
  }

  receive(): Iterable<Hypothesis[][]> {
    return [];
  }

  finish(): Promise<Iterable<Hypothesis[][]>> {
    return Promise.resolve([this.#beams.map((beams) => beams.results())]);
  }
}

/** Rows that go on by themselves. `end` is told of those of which no more is wanted. */
export function continueRows(
  input: GenerationInput,
  settings: GenerationSettings,
): { news: AsyncGenerator<TokenNews, void, undefined>; end: (row: number) => void } {
  let task: TokenTask | undefined;
  const Kind = settings.mode === 'contrastive' ? ContrastiveTask : ChoiceTask;
  const begin = () => (task = new Kind(input, settings));
  return { news: decode(input.device, begin, settings), end: (row) => task?.end(row) };
}

/** Beam search: the best hypotheses of each prompt, best first. */
export async function searchBeams(input: GenerationInput, settings: GenerationSettings): Promise<Hypothesis[][]> {
  const Kind = settings.mode === 'constrainedBeam' ? ConstrainedTask : BeamTask;
  const begin = () => new Kind(input, settings);
  for await (const found of decode(input.device, begin, settings)) return found;
  throw new Error('beam search has no results');
}
