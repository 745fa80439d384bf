import { checkInteger, checkNumber, checkOneOf, checkOptions, rangeError, typeError } from '../check';
import { dynamicFrequencies } from '../ops/rope';
import { defaultDevice, type DeviceName } from '../tensor/device';
import { tensor, type Tensor } from '../tensor/tensor';

/** How frequencies are stretched for contexts longer than the trained one, by the names of Hugging Face configs. */
export type RotaryScaling =
  | { kind: 'default' }
  | { kind: 'linear'; factor: number }
  | { kind: 'dynamic'; factor: number; maxPositions: number }
  | { kind: 'llama3'; factor: number; lowFrequency: number; highFrequency: number; trainedPositions: number }
  | {
      kind: 'yarn';
      factor: number;
      trainedPositions: number;
      betaFast: number;
      betaSlow: number;
      attentionFactor: number | undefined;
    }
  | {
      kind: 'longrope';
      /** What each pair's wave is stretched by, where contexts are longer than the trained ones and where not. */
      longFactors: readonly number[];
      shortFactors: readonly number[];
      /** How much longer contexts are. */
      factor: number;
      trainedPositions: number;
      attentionFactor: number | undefined;
    };

export interface RotaryOptions {
  base: number;
  /** Coordinates of a head that turn. */
  rotaryWidth: number;
  scaling: RotaryScaling;
}

/** The numbers that each kind of scaling has. */
const SCALINGS = {
  default: [],
  linear: ['factor'],
  dynamic: ['factor', 'maxPositions'],
  llama3: ['factor', 'lowFrequency', 'highFrequency', 'trainedPositions'],
  yarn: ['factor', 'trainedPositions', 'betaFast', 'betaSlow'],
  longrope: ['factor', 'trainedPositions'],
} as const satisfies Record<RotaryScaling['kind'], readonly string[]>;

function checkRotary(name: string, options: RotaryOptions): void {
  checkOptions(name, options, ['base', 'rotaryWidth', 'scaling']);
  const { base, rotaryWidth, scaling } = options ?? {};
  checkNumber(name, 'base', base);
  if (base <= 0) throw rangeError(name, 'base', 'above 0', base);
  checkInteger(name, 'rotaryWidth', rotaryWidth, 2, 2 ** 16);
  if (rotaryWidth % 2 !== 0) throw rangeError(name, 'rotaryWidth', 'even', rotaryWidth);
  if (typeof scaling !== 'object' || scaling === null) throw typeError(name, 'scaling', 'an object', scaling);
  const values = scaling as Record<string, unknown>;
  checkOneOf(name, 'scaling.kind', values.kind, Object.keys(SCALINGS) as RotaryScaling['kind'][]);
  for (const key of SCALINGS[scaling.kind]) checkNumber(name, `scaling.${key}`, values[key]);
  if (values.attentionFactor !== undefined) checkNumber(name, 'scaling.attentionFactor', values.attentionFactor);
  if (scaling.kind !== 'longrope') return;
  for (const key of ['longFactors', 'shortFactors']) {
    const factors = values[key];
    if (!Array.isArray(factors)) throw typeError(name, `scaling.${key}`, 'an array of numbers', factors);
    if (factors.length !== rotaryWidth / 2) {
      throw rangeError(name, `scaling.${key}`, `an array of ${rotaryWidth / 2} numbers`, factors);
    }
    factors.forEach((factor: unknown, i) => {
      checkNumber(name, `scaling.${key}[${i}]`, factor);
    });
  }
}

/** Radians per position of each pair, [rotaryWidth / 2]: of a dynamic scaling those within the trained length. */
export function rotaryFrequencies({ base, rotaryWidth, scaling }: RotaryOptions): number[] {
  const plain = Array.from({ length: rotaryWidth / 2 }, (_, i) => base ** ((-2 * i) / rotaryWidth));
  switch (scaling.kind) {
    case 'default':
    case 'dynamic':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3': {
      // Llama 3.1's rule: long waves are stretched, short ones kept, those between blended.
      const { factor, lowFrequency, highFrequency, trainedPositions } = scaling;
      return plain.map((frequency) => {
        const waves = (trainedPositions * frequency) / (2 * Math.PI); // in the trained length
        const kept = Math.min(1, Math.max(0, (waves - lowFrequency) / (highFrequency - lowFrequency)));
        return (1 - kept) * (frequency / factor) + kept * frequency;
      });
    }
    case 'yarn': {
      // YaRN (Peng et al., 2023, section 3.2): a ramp over the pairs, between two numbers of turns.
      const { factor, trainedPositions, betaFast, betaSlow } = scaling;
      const pairOf = (turns: number) =>
        (rotaryWidth * Math.log(trainedPositions / (turns * 2 * Math.PI))) / (2 * Math.log(base));
      const low = Math.max(0, Math.floor(pairOf(betaFast)));
      const high = Math.min(rotaryWidth - 1, Math.ceil(pairOf(betaSlow)));
      return plain.map((frequency, i) => {
        const stretched = Math.min(1, Math.max(0, (i - low) / Math.max(high - low, 0.001)));
        return stretched * (frequency / factor) + (1 - stretched) * frequency;
      });
    }
    case 'longrope': {
      // LongRoPE (Ding et al., 2024, section 3.2): a factor a pair, found by search.
      const factors = scaling.factor > 1 ? scaling.longFactors : scaling.shortFactors;
      return plain.map((frequency, i) => frequency / factors[i]!);
    }
  }
}

/**
 * Cosines and sines of the positions 0 to length - 1 for `rotate`, each [length, rotaryWidth / 2] float32. Angles are
 * float64, so tables stay exact where `rope`'s float32 products of large positions do not. Of a dynamic scaling those
 * within the trained length.
 *
 * @throws TypeError, RangeError for options that do not fit.
 */
export function rotaryTables(options: RotaryOptions, length: number): { cos: Tensor; sin: Tensor } {
  checkRotary('rotaryTables', options);
  checkInteger('rotaryTables', 'length', length, 0, 2 ** 24);
  const frequencies = rotaryFrequencies(options);
  const factor = rotaryFactor(options.scaling);
  const table = (f: (angle: number) => number) => {
    const rows = Array.from({ length }, (_, position) => frequencies.map((w) => factor * f(position * w)));
    return tensor(Float32Array.from(rows.flat()), [length, frequencies.length]);
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** What cosine and sine are multiplied by. */
export function rotaryFactor(scaling: RotaryScaling): number {
  if (scaling.kind !== 'yarn' && scaling.kind !== 'longrope') return 1;
  const { kind, attentionFactor, factor, trainedPositions } = scaling;
  if (attentionFactor !== undefined) return attentionFactor;
  if (factor <= 1) return 1;
  return kind === 'yarn' ? 0.1 * Math.log(factor) + 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trainedPositions));
}

/** The rotation of a step: the same for all its layers. */
export interface Rotation {
  /** [rotaryWidth / 2] float32 */
  frequencies: Tensor;
  factor: number;
}

export class Rotary implements Disposable {
  readonly #fixed: Tensor;

  /** @throws TypeError, RangeError for options that do not fit. */
  constructor(
    readonly options: RotaryOptions,
    device: DeviceName = defaultDevice(),
  ) {
    checkRotary('Rotary', options);
    const frequencies = rotaryFrequencies(options);
    this.#fixed = tensor(Float32Array.from(frequencies), [frequencies.length], { device });
  }

  /** @param last [M] int32: last positions of the rows, whose largest fixes a dynamic base. */
  rotation(last: Tensor): Rotation {
    const { base, rotaryWidth, scaling } = this.options;
    const factor = rotaryFactor(scaling);
    if (scaling.kind !== 'dynamic') return { frequencies: this.#fixed, factor };
    return { frequencies: dynamicFrequencies(last, { base, rotaryWidth, ...scaling }), factor };
  }

  [Symbol.dispose](): void {
    this.#fixed.dispose();
  }
}
