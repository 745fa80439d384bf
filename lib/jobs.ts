import { checkOptions } from './check';
import { checkCapture, forward } from './forward';
import { Generated } from './generated';
import { continueRows, searchBeams } from './generation/generate';
import {
  GENERATION_OPTIONS,
  resolveOptions,
  type GenerationOptions,
  type GenerationSettings,
} from './generation/options';
import { prepareInput, type Prepared } from './inputs';
import type { Decoder } from './nn/decoder';
import type { EncoderDecoder } from './nn/encoder-decoder';
import { Row, type Piece } from './pieces';
import type { Tensor } from './tensor/tensor';
import type { Tokenizer } from './tokenizer/tokenizer';

/** What a model has for generation. */
export interface Generator {
  network: Decoder | EncoderDecoder;
  architecture: string;
  tokenizer: Tokenizer | undefined;
  defaults: GenerationOptions;
}

/** A generation that was asked for. */
export interface Job extends Prepared, Generator {
  settings: GenerationSettings;
  isBeam: boolean;
}

/** @throws TypeError, RangeError for prompts and options that do not fit, for `name`. */
export function prepareJob(name: string, generator: Generator, prompt: unknown, options: GenerationOptions): Job {
  checkOptions(name, options, GENERATION_OPTIONS);
  const { network, tokenizer, defaults } = generator;
  const startTokenId = defaults.decoderStartTokenId;
  const prepared = prepareInput(name, network, prompt, options, { tokenizer, startTokenId });
  const settings = resolveOptions(name, options, defaults, prepared.limits);
  if (settings.stopStrings.length > 0 && !tokenizer) {
    throw new TypeError(`[${name}] stopStrings need a tokenizer, which this model does not have`);
  }
  checkCapture(name, settings.capture, network.capturePaths);
  return { ...generator, ...prepared, settings, isBeam: settings.numBeams > 1 };
}

/** @throws RangeError for what is not known before the end. */
export function checkStreamable(name: string, { settings, isBeam }: Job): void {
  const { numSequences, numReturnSequences, capture } = settings;
  if (isBeam) throw new RangeError(`[${name}] numBeams must be 1: beams are not known before the end`);
  if (numSequences > numReturnSequences) {
    throw new RangeError(`[${name}] bestOf must be left out: which sequences are best is not known before the end`);
  }
  if (capture.length > 0) throw new RangeError(`[${name}] capture is for generate()`);
}

/** Runs a job of one sequence a row, piece by piece. Leaving the loop ends the work. */
export async function* streamJob({ input, prompts, settings, tokenizer }: Job): AsyncGenerator<Piece, void, undefined> {
  const { news, end } = continueRows(input, settings);
  const rows = Array.from({ length: prompts.length * settings.numSequences }, () => new Row(tokenizer, settings));
  for await (const { row: index, ...told } of news) {
    const row = rows[index]!;
    const piece = { index, ...row.take(told), finishReason: row.finishReason };
    if (row.finishReason !== null) end(index);
    if (piece.tokens.length > 0) yield piece;
  }
  for (const [index, row] of rows.entries()) {
    if (row.finishReason !== null) continue;
    const text = row.end('time');
    yield { index, text, tokens: [], finishReason: row.finishReason };
  }
}

/** Runs a job to its end: the sequences of each prompt side by side, best first. */
export async function runJob(job: Job): Promise<Generated[]> {
  const { settings, prompts, sources, tokenizer, isBeam } = job;
  const started = performance.now();
  const perPrompt = isBeam ? settings.numReturnSequences : settings.numSequences;
  const results = prompts.flatMap(({ tokens }, b) =>
    Array.from({ length: perPrompt }, () => new Generated(tokens.length + (sources?.[b]!.tokens.length ?? 0))),
  );
  let firstToken: number | undefined;
  const add = (index: number, piece: Omit<Piece, 'index'>) => {
    firstToken ??= performance.now() - started;
    results[index]!.add(piece);
  };
  if (isBeam) {
    const found = (await searchBeams(job.input, settings)).flat();
    for (const [index, { tokens, score }] of found.entries()) {
      const row = new Row(tokenizer, settings);
      const taken = row.take({ tokens, facts: [], scores: [] });
      add(index, { ...taken, text: taken.text + row.end('time'), finishReason: row.finishReason });
      results[index]!.score = score;
    }
  } else {
    for await (const { index, ...piece } of streamJob(job)) add(index, piece);
  }
  const total = performance.now() - started;
  for (const result of results) result.end({ firstToken: firstToken ?? total, total });
  const kept = perPrompt > settings.numReturnSequences ? bestOf(results, settings) : results;
  if (settings.capture.length > 0) {
    for (const [index, result] of kept.entries()) result.captured = capture(job, result, index);
  }
  return kept;
}

/** One pass over what was generated. */
function capture(job: Job, { tokens }: Generated, index: number): Readonly<Record<string, Tensor>> {
  const { settings, network, architecture } = job;
  const prompt = Math.floor(index / settings.numReturnSequences);
  const whole = [...job.prompts[prompt]!.tokens, ...tokens];
  const source = job.sources?.[prompt];
  const ids = source ? { ids: [...source.tokens], decoderIds: whole } : { ids: whole };
  const { logits, captured } = forward(network, { ...ids, capture: settings.capture }, architecture);
  logits.dispose();
  return captured;
}

/** Of each prompt's sequences those with the best mean log-probability, best first. */
function bestOf(
  results: readonly Generated[],
  { numSequences, numReturnSequences, wantsLogprobs }: GenerationSettings,
): Generated[] {
  const mean = ({ logprobs = [] }: Generated) =>
    logprobs.reduce((sum, { logProb }) => sum + logProb, 0) / Math.max(1, logprobs.length);
  const best: Generated[] = [];
  for (let first = 0; first < results.length; first += numSequences) {
    const mine = results.slice(first, first + numSequences).map((result) => ({ result, score: mean(result) }));
    mine.sort((a, b) => b.score - a.score);
    best.push(...mine.slice(0, numReturnSequences).map(({ result }) => result));
  }
  if (!wantsLogprobs) for (const result of best) delete result.logprobs;
  return best;
}
