import type { BeamSettings, Hypothesis } from './beams';
import { ConstraintProgress, type Word } from './constraints';

/** A beam that may go on: a token behind one of the rows. */
interface Candidate {
  row: number;
  token: number;
  /** Sum of log-probabilities, float32. */
  sum: number;
}

interface Ended extends Hypothesis {
  /** An end token closes it. */
  closed: boolean;
}

/**
 * Beam search for one prompt whose results hold words (Anderson et al., 2017; Post and Vilar, 2018), as
 * `ConstrainedBeamSearchScorer` of transformers 4.44.2 has it: beside the best candidates those are looked at that bring
 * a word further, and beams are shared out among banks, by how much they have said.
 */
export class ConstrainedBeams {
  /** Of each beam: prompt and new tokens. */
  #rows: readonly (readonly number[])[];
  #sums: Float32Array;
  #hypotheses: Ended[] = [];
  done = false;

  constructor(
    prompt: ArrayLike<number>,
    readonly words: readonly Word[],
    readonly settings: BeamSettings,
  ) {
    const { numBeams } = settings;
    this.#rows = Array.from({ length: numBeams }, () => Array.from(prompt));
    this.#sums = new Float32Array(numBeams).fill(-1e9);
    this.#sums[0] = 0;
    this.#given = prompt.length;
  }

  readonly #given: number;

  /** Scores [K · V] of all beams → what each beam reads next, and which beam it goes on from. */
  step(scores: Float32Array): { tokens: number[]; sources: number[] } {
    const { numBeams, padTokenId, eosTokenIds } = this.settings;
    if (this.done) return { tokens: this.#rows.map(() => padTokenId), sources: [...this.#rows.keys()] };
    const vocabulary = scores.length / numBeams;
    const total = scores.map((score, i) => score + this.#sums[Math.floor(i / vocabulary)]!);
    const best = bestOf(total, Math.max(2, 1 + eosTokenIds.length) * numBeams);
    const running: Candidate[] = [];
    for (const [rank, at] of best.entries()) {
      const candidate = { row: Math.floor(at / vocabulary), token: at % vocabulary, sum: total[at]! };
      if (!eosTokenIds.includes(candidate.token)) running.push(candidate);
      else if (rank < numBeams) this.#end(candidate.row, candidate.sum);
      if (running.length === numBeams) break;
    }
    const next = this.#share(running, total, vocabulary);
    this.done = this.#isDone(total[best[0]!]!);
    this.#rows = next.map(({ row, token }) => [...this.#rows[row]!, token]);
    this.#sums = Float32Array.from(next, ({ sum }) => sum);
    return { tokens: next.map(({ token }) => token), sources: next.map(({ row }) => row) };
  }

  /** A beam has met an end token; it counts if it has said all words. */
  #end(row: number, sum: number): void {
    const tokens = this.#rows[row]!;
    if (ConstraintProgress.of(this.words, tokens).completed) this.#add(tokens, sum, true);
  }

  /** Shares the beams out among candidates and those that bring words further. */
  #share(running: readonly Candidate[], total: Float32Array, vocabulary: number): Candidate[] {
    const all = running.map((candidate) => {
      const tokens = [...this.#rows[candidate.row]!, candidate.token];
      return { candidate, tokens, bank: ConstraintProgress.of(this.words, tokens).bank };
    });
    const seen = new Set(all.map(({ tokens }) => tokens.join()));
    for (const [row, before] of this.#rows.entries()) {
      const progress = ConstraintProgress.of(this.words, before);
      for (const token of progress.completed ? [] : progress.next()) {
        const tokens = [...before, token];
        if (seen.has(tokens.join())) continue;
        seen.add(tokens.join());
        const candidate = { row, token, sum: total[row * vocabulary + token]! };
        all.push({ candidate, tokens, bank: progress.with(token).bank });
      }
    }
    if (all.length === running.length) return [...running];
    // The reference's sum of float32: a bank weighs more than any score.
    const weight = ({ bank, candidate }: (typeof all)[number]) => Math.fround(bank * 100 + candidate.sum);
    all.sort((a, b) => weight(b) - weight(a));
    const inBank = new Map<number, number>();
    const ranked = all.map(({ candidate, bank }) => {
      const rank = inBank.get(bank) ?? 0;
      inBank.set(bank, rank + 1);
      return { candidate, rank };
    });
    ranked.sort((a, b) => a.rank - b.rank);
    return ranked.slice(0, running.length).map(({ candidate }) => candidate);
  }

  #add(tokens: readonly number[], sum: number, closed: boolean): void {
    const { numBeams, lengthPenalty } = this.settings;
    const fresh = tokens.slice(this.#given);
    const score = sum / (fresh.length + Number(closed)) ** lengthPenalty;
    const worst = this.#worst;
    if (this.#hypotheses.length === numBeams) {
      if (!(score > worst)) return;
      this.#hypotheses.splice(
        this.#hypotheses.findIndex((one) => one.score === worst),
        1,
      );
    }
    this.#hypotheses.push({ tokens: fresh, score, closed });
  }

  get #worst(): number {
    return Math.min(...this.#hypotheses.map(({ score }) => score));
  }

  #isDone(bestSum: number): boolean {
    const { numBeams, earlyStopping, lengthPenalty, maxSteps } = this.settings;
    if (this.done) return true;
    if (this.#hypotheses.length < numBeams) return false;
    if (earlyStopping === true) return true;
    const now = this.#rows[0]!.length + 1 - this.#given;
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxSteps : now;
    return this.#worst >= bestSum / length ** lengthPenalty;
  }

  /** The best, best first: those that still run end here, and count if they have said all words, or if there are too few. */
  results(): Hypothesis[] {
    const { numReturnSequences, eosTokenIds } = this.settings;
    if (!this.done) {
      const whole = this.#rows.map((tokens) => ConstraintProgress.of(this.words, tokens).completed);
      const add = (which: boolean) => {
        for (const [row, tokens] of this.#rows.entries()) {
          if (whole[row] === which) this.#add(tokens, this.#sums[row]!, false);
        }
      };
      add(true);
      if (whole.filter(Boolean).length < numReturnSequences) add(false);
    }
    return this.#hypotheses
      .map((one, order) => ({ ...one, order }))
      .sort((a, b) => b.score - a.score || b.order - a.order)
      .slice(0, numReturnSequences)
      .map(({ tokens, score, closed }) => ({
        tokens: closed ? [...tokens, ...eosTokenIds.slice(0, 1)] : tokens,
        score,
      }));
  }
}

/** Where the largest are, best first; of equals the first. */
function bestOf(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (const [at, value] of values.entries()) {
    if (best.length === count && !(value > values[best.at(-1)!]!)) continue;
    let place = best.length;
    while (place > 0 && value > values[best[place - 1]!]!) --place;
    best.splice(place, 0, at);
    if (best.length > count) best.pop();
  }
  return best;
}
