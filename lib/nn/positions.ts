import { checkInteger, checkNumber, checkOneOf, checkOptions, rangeError } from '../check';

const LAYOUTS = ['interleaved', 'halves', 'halves-inclusive'] as const;

export interface SinusoidalOptions {
  /** Number of positions, from 0. */
  length: number;
  /** Width of a row. */
  dim: number;
  /**
   * 'interleaved': sine and cosine of frequency i at 2i and 2i + 1 (Vaswani et al., 2017, section 3.5). 'halves': all
   * sines, then all cosines (Marian, Pegasus). 'halves-inclusive': the same with frequencies that reach 1 / base
   * (Whisper, M2M100, fairseq). Default 'interleaved'.
   */
  layout?: (typeof LAYOUTS)[number] | undefined;
  /** This row is 0. */
  paddingIdx?: number | undefined;
  /** Default 10000. */
  base?: number | undefined;
}

/**
 * Table [length, dim] of sinusoidal positions, row-major: angles p / base^(2i / dim), or p / base^(i / (dim / 2 - 1))
 * where the layout includes the end. The last column of an odd width is 0 in halves, and a sine where interleaved.
 *
 * @throws TypeError, RangeError for options that do not fit.
 */
export function sinusoidalPositions(options: SinusoidalOptions): Float64Array {
  const name = 'sinusoidalPositions';
  checkOptions(name, options, ['length', 'dim', 'layout', 'paddingIdx', 'base']);
  const { length, dim, layout = 'interleaved', paddingIdx, base = 10000 } = options ?? {};
  checkInteger(name, 'length', length, 0, 2 ** 31 - 1);
  checkInteger(name, 'dim', dim, 1, 2 ** 31 - 1);
  checkOneOf(name, 'layout', layout, LAYOUTS);
  checkNumber(name, 'base', base);
  if (base <= 0) throw rangeError(name, 'base', 'above 0', base);
  if (paddingIdx !== undefined) checkInteger(name, 'paddingIdx', paddingIdx, 0, length - 1);
  const half = Math.floor(dim / 2);
  if (layout === 'halves-inclusive' && half < 2) throw rangeError(name, 'dim', 'at least 4', dim);
  const steps = layout === 'halves-inclusive' ? half - 1 : dim / 2;
  const table = new Float64Array(length * dim);
  for (let p = 0; p < length; ++p) {
    if (p === paddingIdx) continue;
    for (let i = 0; 2 * i < dim; ++i) {
      const angle = p * Math.exp((-Math.log(base) * i) / steps);
      const [sine, cosine] = layout === 'interleaved' ? [2 * i, 2 * i + 1] : [i, half + i];
      if (layout !== 'interleaved' && i === half) continue;
      table[p * dim + sine] = Math.sin(angle);
      if (cosine < dim) table[p * dim + cosine] = Math.cos(angle);
    }
  }
  return table;
}
