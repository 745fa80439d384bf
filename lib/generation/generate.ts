import type { PromptRow } from '../prompt';
import { BeamSearch, type Hypothesis } from './beams';
import { decode } from './loop';
import type { DecoderModel } from './model';
import type { GenerationSettings } from './options';
import { Rows } from './rows';
import { TokenChoice, type Strategy } from './strategy';

/** The rows and the strategy of a generation. */
class Task<S extends Strategy> implements Disposable {
  constructor(
    readonly rows: Rows,
    readonly strategy: S,
  ) {}

  [Symbol.dispose](): void {
    this.strategy[Symbol.dispose]();
    this.rows[Symbol.dispose]();
  }
}

/** Greedy search or sampling: yields the tokens of one or more whole steps, [steps × rows], as they come. */
export async function* continueRows(
  model: DecoderModel,
  prompts: readonly PromptRow[],
  settings: GenerationSettings,
): AsyncGenerator<Int32Array, void, undefined> {
  const begin = () => {
    const rows = new Rows(model, prompts, 1, { maxSteps: settings.maxSteps, keepsHistory: false });
    return new Task(rows, new TokenChoice(rows, settings));
  };
  for await (const { news } of decode(model.device, begin, settings)) yield news;
}

/** Beam search: yields the hypotheses of each prompt, best first, once they are there. */
export async function* searchBeams(
  model: DecoderModel,
  prompts: readonly PromptRow[],
  settings: GenerationSettings,
): AsyncGenerator<Hypothesis[][], void, undefined> {
  const begin = () => {
    const rows = new Rows(model, prompts, settings.numBeams, { maxSteps: settings.maxSteps, keepsHistory: false });
    return new Task(rows, new BeamSearch(rows, { ...settings, keys: settings.sampling && settings.keys }, undefined));
  };
  let search: BeamSearch | undefined;
  for await (const { task, news } of decode(model.device, begin, settings)) {
    search = task.strategy;
    search.receive(news);
  }
  if (search) yield search.results;
}
