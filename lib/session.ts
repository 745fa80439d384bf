import { checkInteger } from './check';
import type { Generated } from './generated';
import type { GenerationOptions, GenerationSettings } from './generation/options';
import { checkStreamable, runJob, streamJob, type Job } from './jobs';
import type { PagePool } from './ops/page-pool';
import type { Piece } from './pieces';
import type { Ids } from './prompt';

/** What a session has of its model. */
export interface SessionModel {
  readonly pool: PagePool;
  /** Tokens of a text; special ones only at the beginning. */
  encode(name: string, prompt: string | Ids, isFirst: boolean): readonly number[];
  prepare(name: string, tokens: readonly number[], options: GenerationOptions): Job;
  /** Settings with what ends them: to be disposed of. */
  start: (name: string, settings: GenerationSettings) => Disposable & { settings: GenerationSettings };
}

/**
 * A text that grows: what was read and generated stays in the cache, so that a prompt is read but once. Forks go on from
 * the same text, in the same pages of memory, which are copied where one of them writes. Sessions of one family take
 * turns; each generates one thing at a time. Free it with `dispose()` or `using`.
 */
export class Session implements Disposable {
  #tokens: readonly number[];
  /** Keys that are there, of the first tokens. */
  #held: number;
  #table: readonly number[];
  #state: 'idle' | 'busy' | 'disposed' = 'idle';
  readonly #model: SessionModel;

  /** Not for users: see Model.session. */
  constructor(model: SessionModel, from?: { tokens: readonly number[]; held: number; table: readonly number[] }) {
    this.#model = model;
    this.#tokens = from?.tokens ?? [];
    this.#held = from?.held ?? 0;
    this.#table = from?.table ?? [];
    model.pool.retain();
  }

  /** All that was read and generated. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /**
   * Goes on with a text, or tokens, behind what there is: as Model.generate of the whole, with one sequence and no beams.
   * After a failure, and after the signal, the session is as it was before.
   *
   * @throws TypeError, RangeError for what does not fit, and while another generation is under way; the signal's reason.
   */
  async generate(prompt: string | Ids, options: GenerationOptions = {}): Promise<Generated> {
    const name = 'Session.generate';
    const job = this.#prepare(name, prompt, options);
    return await this.#work(name, job, async (running) => {
      const [result] = await runJob(running);
      this.#keep(job, result!.tokens);
      return result!;
    });
  }

  /** The same, piece by piece; errors come from the loop. Leaving it ends the work, and what had come stays. */
  async *stream(prompt: string | Ids, options: GenerationOptions = {}): AsyncGenerator<Piece, void, undefined> {
    const name = 'Session.stream';
    const job = this.#prepare(name, prompt, options);
    checkStreamable(name, job);
    const taken: number[] = [];
    const end = await this.#begin(name, job);
    try {
      for await (const piece of streamJob(end.job)) {
        taken.push(...piece.tokens);
        yield piece;
      }
    } finally {
      if (taken.length > 0) this.#keep(job, taken);
      end.now();
    }
  }

  /** Another session that goes on from the same text. */
  fork(): Session {
    this.#checkIdle('Session.fork');
    const table = this.#model.pool.share(this.#table);
    return new Session(this.#model, { tokens: this.#tokens, held: this.#held, table });
  }

  /** Forgets all but the first `length` tokens. */
  rewind(length: number): void {
    this.#checkIdle('Session.rewind');
    checkInteger('Session.rewind', 'length', length, 0, this.#tokens.length);
    this.#tokens = this.#tokens.slice(0, length);
    this.#held = Math.min(this.#held, length);
    this.#trim();
  }

  dispose(): void {
    if (this.#state === 'busy') throw new TypeError('[Session.dispose] a generation is under way');
    if (this.#state === 'disposed') return;
    this.#state = 'disposed';
    this.#model.pool.release(this.#table);
    this.#model.pool.letGo();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkIdle(name: string): void {
    if (this.#state === 'busy') throw new TypeError(`[${name}] a generation of this session is under way`);
    if (this.#state === 'disposed') throw new TypeError(`[${name}] the session was disposed`);
  }

  #prepare(name: string, prompt: string | Ids, options: GenerationOptions): Job {
    this.#checkIdle(name);
    const fresh = this.#model.encode(name, prompt, this.#tokens.length === 0);
    const job = this.#model.prepare(name, [...this.#tokens, ...fresh], options);
    if (job.settings.rowsPerPrompt > 1) {
      throw new RangeError(`[${name}] a session has one sequence: numBeams, numReturnSequences and bestOf must be 1`);
    }
    if (job.settings.guidanceScale !== 1)
      throw new RangeError(`[${name}] a session has no guidance: guidanceScale must be 1`);
    return job;
  }

  async #work<T>(name: string, job: Job, body: (job: Job) => Promise<T>): Promise<T> {
    const end = await this.#begin(name, job);
    try {
      return await body(end.job);
    } finally {
      end.now();
    }
  }

  /** Waits for its turn, and opens what is held. */
  async #begin(name: string, job: Job): Promise<{ job: Job; now: () => void }> {
    this.#state = 'busy';
    const { pool, start } = this.#model;
    const next = await pool.turn();
    const end = (): void => {
      this.#state = 'idle';
      next();
    };
    let running: ReturnType<typeof start>;
    try {
      running = start(name, job.settings);
    } catch (error) {
      end();
      throw error;
    }
    // At least one token is read: the logits of the last are wanted.
    const held = Math.min(this.#held, job.prompts[0]!.tokens.length - 1);
    const open = (): ReturnType<Job['input']['open']> => ({
      ...job.input.open(1),
      createCache: (_, capacity) => {
        this.#table = pool.reserve(this.#table, held, capacity);
        return pool.cache(this.#table, held);
      },
    });
    return {
      job: { ...job, input: { ...job.input, open, held }, settings: { ...running.settings, keepsCache: true } },
      now: () => {
        running[Symbol.dispose]();
        this.#trim();
        end();
      },
    };
  }

  /** What was read and generated stays; of the last token nothing was read yet. */
  #keep(job: Job, tokens: readonly number[]): void {
    this.#tokens = [...job.prompts[0]!.tokens, ...tokens];
    this.#held = this.#tokens.length - 1;
  }

  /** Gives back pages that hold nothing. */
  #trim(): void {
    this.#table = this.#model.pool.trim(this.#table, this.#held);
  }
}
