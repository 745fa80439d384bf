import { add } from '../ops/arithmetic';
import { beamStep, gumbelNoise, type BeamState, type EarlyStopping } from '../ops/beam';
import { concat } from '../ops/concat';
import { logSoftmax } from '../ops/softmax';
import { topK } from '../ops/top-k';
import type { Channel } from '../tensor/program';
import { tensor, type Tensor } from '../tensor/tensor';
import { int32 } from './model';
import type { Rows } from './rows';
import type { Scoring } from './scoring';
import type { Strategy } from './strategy';

export interface BeamSettings {
  eosTokenIds: readonly number[];
  padTokenId: number;
  numBeams: number;
  /** Groups of beams that must differ (Vijayakumar et al., 2018); 1: none. */
  numBeamGroups: number;
  /** Hypotheses to return for each prompt. */
  numReturnSequences: number;
  earlyStopping: EarlyStopping;
  lengthPenalty: number;
  maxSteps: number;
}

/** A finished beam. */
export interface Hypothesis {
  /** The new tokens. */
  tokens: number[];
  /** Sum of log-probabilities over length ^ lengthPenalty. */
  score: number;
}

/** A running beam of a score that no other beats: all but the first start so, since all beams of a group are equal. */
const HOPELESS = -1e9;

class Group implements Disposable {
  readonly state: BeamState;
  /** [B · K] int32: the model's rows; undefined: all. */
  readonly rows: Tensor | undefined;

  constructor(rows: Rows, index: number, beams: number) {
    const { device } = rows.model;
    const problems = rows.prompts.length;
    const sums = Float32Array.from({ length: problems * beams }, (_, i) => (i % beams === 0 ? 0 : HOPELESS));
    this.state = {
      sums: tensor(sums, [problems, beams], { device }),
      hypotheses: tensor(new Int32Array(problems * beams * 4), [problems, beams, 4], { device }),
      counts: int32(device, new Int32Array(problems)),
      done: int32(device, new Int32Array(problems)),
      steps: int32(device, [0]),
    };
    const own = Array.from(
      { length: problems * beams },
      (_, i) => Math.floor(i / beams) * rows.perPrompt + index * beams + (i % beams),
    );
    this.rows = beams === rows.perPrompt ? undefined : int32(device, own);
  }

  [Symbol.dispose](): void {
    for (const part of Object.values(this.state) as Tensor[]) part.dispose();
    this.rows?.dispose();
  }
}

/**
 * Beam search (Sutskever et al., 2014, section 3.2), diverse beam search (Vijayakumar et al., 2018) where there are
 * groups, and beams that are sampled (Kool et al., 2019) where the scoring has keys. Sends [tokens, sources] of all rows.
 */
export class BeamSearch implements Strategy {
  readonly #groups: Group[];
  readonly #ends: Tensor;
  /** [R] int32: which row each row goes on from. */
  readonly #sources: Tensor;
  /** Of each step: tokens and sources of all rows. */
  readonly #steps: Int32Array[] = [];

  constructor(
    readonly rows: Rows,
    readonly scoring: Scoring,
    readonly settings: BeamSettings,
  ) {
    const { device } = rows.model;
    const { numBeams, numBeamGroups, eosTokenIds } = settings;
    this.#groups = Array.from(
      { length: numBeamGroups },
      (_, index) => new Group(rows, index, numBeams / numBeamGroups),
    );
    this.#ends = int32(device, eosTokenIds);
    this.#sources = int32(device, new Int32Array(rows.count));
  }

  get newsWidth(): number {
    return 2 * this.rows.count;
  }

  /** Log-probabilities, processed; but groups wait for those before them. */
  process(logits: Tensor): Tensor {
    return this.#groups.length > 1 ? logits : this.scoring.apply(logSoftmax(logits));
  }

  pick(scores: Tensor, _: Tensor, channel: Channel): void {
    const { rows } = this;
    this.#groups.forEach((group, index) => {
      this.#pickOf(group, index, group.rows ? this.#processGroup(scores, group.rows, index) : scores);
    });
    const done = this.#groups.map(({ state }) => state.done);
    rows.reorder(this.#sources);
    rows.remember(rows.tokens);
    channel.emit(concat([rows.tokens, this.#sources]), done.length === 1 ? done[0]! : concat(done));
  }

  /** Logits of all rows → processed log-probabilities of a group's. */
  #processGroup(logits: Tensor, rows: Tensor, index: number): Tensor {
    const { tokens, prompts, perPrompt } = this.rows;
    const chosen = tokens.reshape([prompts.length, perPrompt]).slice(1, 0, (index * perPrompt) / this.#groups.length);
    return this.scoring.apply(logSoftmax(logits), { rows, groupTokens: concat([chosen]) });
  }

  /** Picks among the scores [B · K, V] of a group. */
  #pickOf(group: Group, index: number, scores: Tensor): void {
    const { rows, settings } = this;
    const { eosTokenIds, padTokenId, earlyStopping, lengthPenalty, maxSteps } = settings;
    const { sums, steps } = group.state;
    const [problems = 0, beams = 0] = sums.shape;
    const total = add(scores.reshape([problems, beams, -1]), sums.reshape([problems, beams, 1]));
    const flat = total.reshape([problems, -1]); // [B, K · V]
    const ranked = this.scoring.keys ? gumbelNoise(flat, this.scoring.keys, steps) : flat;
    const candidates = topK(ranked, Math.max(2, 1 + eosTokenIds.length) * beams).indices;
    beamStep(flat, candidates, group.state, {
      tokens: rows.tokens,
      sources: this.#sources,
      ends: this.#ends,
      rowsPerProblem: rows.perPrompt,
      firstRow: index * beams,
      padTokenId,
      earlyStopping,
      lengthPenalty,
      maxSteps,
    });
  }

  /** Takes what the steps sent. */
  receive(news: Int32Array): void {
    for (let at = 0; at < news.length; at += this.newsWidth) this.#steps.push(news.slice(at, at + this.newsWidth));
  }

  /** After the last step: the best hypotheses of each prompt, best first. */
  async results(): Promise<Hypothesis[][]> {
    const { rows, settings } = this;
    const found = await Promise.all(this.#groups.map((group, index) => this.#hypothesesOf(group, index)));
    return rows.prompts.map((_, prompt) =>
      found
        .flatMap((ofGroup) => ofGroup[prompt]!)
        .sort((a, b) => b.score - a.score || b.step - a.step)
        .slice(0, settings.numReturnSequences)
        .map(({ score, step, row, ended }) => ({
          score,
          // The reference puts the first end token, whichever was met.
          tokens: [...this.#tokensBefore(step, row), ...(ended ? settings.eosTokenIds.slice(0, 1) : [])],
        })),
    );
  }

  async #hypothesesOf(group: Group, index: number) {
    const { state } = group;
    const { lengthPenalty } = this.settings;
    const [sums, slots, counts, done] = await Promise.all(
      [state.sums, state.hypotheses, state.counts, state.done].map((part) => part.data()),
    );
    const [, beams = 0] = state.sums.shape;
    const scores = new Float64Array(slots!.buffer, slots!.byteOffset, slots!.length / 2); // every other is none
    return this.rows.prompts.map((_, prompt) => {
      const held = Array.from({ length: counts![prompt]! }, (_, i) => {
        const slot = prompt * beams + i;
        return { score: scores[2 * slot]!, step: slots![4 * slot + 2]!, row: slots![4 * slot + 3]!, ended: true };
      });
      if (done![prompt]) return held;
      // The beams that still run end here: they take their places among the hypotheses.
      const step = this.#steps.length;
      const first = prompt * this.rows.perPrompt + index * beams;
      const running = Array.from({ length: beams }, (_, beam) => ({
        score: sums![prompt * beams + beam]! / step ** lengthPenalty,
        ...{ step, row: first + beam, ended: false },
      }));
      return [...held, ...running].sort((a, b) => b.score - a.score).slice(0, beams);
    });
  }

  /** What `row` had before a step: its tokens, back through the rows that it went on from. */
  #tokensBefore(step: number, row: number): number[] {
    const { count } = this.rows;
    const tokens: number[] = [];
    for (let at = step - 1; at >= 0; --at) {
      const news = this.#steps[at]!;
      tokens.push(news[row]!);
      row = news[count + row]!;
    }
    return tokens.reverse();
  }

  [Symbol.dispose](): void {
    for (const group of this.#groups) group[Symbol.dispose]();
    for (const part of [this.#ends, this.#sources]) part.dispose();
  }
}
