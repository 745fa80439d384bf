import { rangeError } from '../check';
import type { GenerationOptions } from './options';

/** How the next token is found. */
export type Mode = 'greedy' | 'sampling' | 'contrastive' | 'beam' | 'beamSampling' | 'groupBeam' | 'constrainedBeam';

/** What each is called, and the options that choose it. */
export const MODES: Readonly<Record<Mode, string>> = {
  greedy: 'greedy search',
  sampling: 'sampling (doSample)',
  contrastive: 'contrastive search (penaltyAlpha and topK)',
  beam: 'beam search (numBeams above 1)',
  beamSampling: 'beam sampling (numBeams above 1 and doSample)',
  groupBeam: 'diverse beam search (numBeamGroups above 1)',
  constrainedBeam: 'constrained beam search (forceWordsIds)',
};

const BEAMS = ['beam', 'beamSampling', 'groupBeam', 'constrainedBeam'] as const satisfies Mode[];
const DRAWING = ['sampling', 'beamSampling'] as const satisfies Mode[];
const ONE_BY_ONE = ['greedy', 'sampling'] as const satisfies Mode[];

/** Options that do nothing but in some modes; all others are for all. */
export const ONLY_IN: Readonly<Partial<Record<keyof GenerationOptions, readonly Mode[]>>> = {
  seed: DRAWING,
  temperature: DRAWING,
  topK: [...DRAWING, 'contrastive'],
  topP: DRAWING,
  minP: DRAWING,
  typicalP: DRAWING,
  epsilonCutoff: DRAWING,
  etaCutoff: DRAWING,
  topNSigma: DRAWING,
  dynatempRange: DRAWING,
  dynatempExponent: DRAWING,
  xtcProbability: ['sampling'],
  xtcThreshold: ['sampling'],
  mirostat: ['sampling'],
  mirostatTau: ['sampling'],
  mirostatEta: ['sampling'],
  bestOf: ['sampling'],
  numReturnSequences: ['sampling', ...BEAMS],
  lengthPenalty: BEAMS,
  earlyStopping: BEAMS,
  diversityPenalty: ['groupBeam'],
  penaltyAlpha: ['contrastive'],
  forceWordsIds: ['constrainedBeam'],
  logprobs: ONE_BY_ONE,
  guidanceScale: ONE_BY_ONE,
  negativePrompt: ONE_BY_ONE,
  logitsProcessor: ['greedy', 'sampling', 'beam', 'beamSampling', 'constrainedBeam', 'contrastive'],
  prefixAllowedTokensFn: ['greedy', 'sampling', 'beam', 'beamSampling', 'constrainedBeam', 'contrastive'],
  returnScores: ONE_BY_ONE,
};

/** Values that leave everything as it is: they may be given in any mode. */
const NEUTRAL: Readonly<Partial<Record<keyof GenerationOptions, unknown>>> = {
  numReturnSequences: 1,
  diversityPenalty: 0,
  mirostat: 0,
  returnScores: false,
  guidanceScale: 1,
};

/** Options that are for sampling alone: giving one asks for it. */
export const ASKS_FOR_SAMPLING = (Object.keys(ONLY_IN) as (keyof GenerationOptions)[]).filter((key) =>
  ONLY_IN[key]!.every((mode) => (DRAWING as readonly Mode[]).includes(mode)),
);

/** The mode that options ask for: that of transformers 4.44.2, `GenerationConfig.get_generation_mode`. */
export function modeOf(options: GenerationOptions): Mode {
  const { numBeams = 1, numBeamGroups = 1, doSample = false, penaltyAlpha = 0, topK = 0 } = options;
  if (options.forceWordsIds !== undefined) return 'constrainedBeam';
  if (numBeams > 1) {
    if (numBeamGroups > 1) return 'groupBeam';
    return doSample ? 'beamSampling' : 'beam';
  }
  if (doSample) return 'sampling';
  return penaltyAlpha > 0 && topK > 1 ? 'contrastive' : 'greedy';
}

export function isFor(mode: Mode, key: keyof GenerationOptions, value: unknown): boolean {
  const modes = ONLY_IN[key];
  return value === undefined || modes === undefined || modes.includes(mode) || value === NEUTRAL[key];
}

/** @throws RangeError naming a given option that does nothing in the mode, or a pair of options that excludes itself. */
export function checkMode(name: string, mode: Mode, given: GenerationOptions, options: GenerationOptions): void {
  const { numBeams = 1, numBeamGroups = 1, numReturnSequences = 1, bestOf, penaltyAlpha } = options;
  const { doSample } = given; // a folder's does not count where nothing is drawn
  for (const key of Object.keys(given) as (keyof GenerationOptions)[]) {
    if (isFor(mode, key, given[key])) continue;
    const wanted = ONLY_IN[key]!.map((one) => MODES[one]).join(', ');
    throw new RangeError(`[${name}] ${key} does nothing in ${MODES[mode]}: it is for ${wanted}`);
  }
  const exclude = (option: string, wanted: string, value: unknown): never => {
    throw rangeError(name, option, wanted, value);
  };
  const isBeam = (BEAMS as readonly Mode[]).includes(mode);
  if (numBeams % numBeamGroups !== 0) exclude('numBeamGroups', `a divisor of numBeams ${numBeams}`, numBeamGroups);
  if (mode === 'groupBeam' && doSample) exclude('doSample', 'false with numBeamGroups above 1', doSample);
  if (mode === 'constrainedBeam') {
    if (numBeams === 1) exclude('numBeams', 'above 1 with forceWordsIds', numBeams);
    if (doSample) exclude('doSample', 'false with forceWordsIds', doSample);
    if (numBeamGroups > 1) exclude('numBeamGroups', '1 with forceWordsIds', numBeamGroups);
  }
  if (isBeam && numReturnSequences > numBeams) {
    exclude('numReturnSequences', `at most numBeams ${numBeams}`, numReturnSequences);
  }
  if (isBeam && given.penaltyAlpha !== undefined)
    exclude('penaltyAlpha', 'left out with numBeams above 1', penaltyAlpha);
  if (bestOf !== undefined && bestOf < numReturnSequences) {
    exclude('bestOf', `at least numReturnSequences ${numReturnSequences}`, bestOf);
  }
}
