import type { FloatDType } from 'heddle';

export const HALVES = ['float16', 'bfloat16'] as const;
export const FLOATS = ['float32', ...HALVES] as const;

/** Bits of the fraction, and the smallest and largest exponent of a normal number. */
const FORMATS: Record<FloatDType, [fraction: number, low: number, high: number]> = {
  float32: [23, -126, 127],
  float16: [10, -14, 15],
  bfloat16: [7, -126, 127],
};

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer); // little-endian
const POWERS = Float64Array.from({ length: 512 }, (_, i) => 2 ** (i - 256));

/** The distance of neighbours near x. */
export function ulp(x: number, dtype: FloatDType): number {
  const [fraction, low] = FORMATS[dtype];
  number[0] = x;
  const exponent = ((words[1]! >>> 20) & 0x7ff) - 1023;
  return POWERS[256 + Math.max(low, Math.min(200, exponent)) - fraction]!;
}

/** To the nearest number of the dtype, of two to the even one: by arithmetic, not by bits as the kernels do. */
export function round(x: number, dtype: FloatDType): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const [, , high] = FORMATS[dtype];
  const unit = ulp(x, dtype);
  const floor = Math.floor(x / unit);
  const rest = x / unit - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  const y = (up ? floor + 1 : floor) * unit;
  if (y === 0) return x < 0 ? -0 : 0;
  return Math.abs(y) >= 2 ** (high + 1) ? Math.sign(y) * Infinity : y;
}

/** All numbers of a half dtype from 0 up, ∞ left out. */
export function numbersOf(dtype: (typeof HALVES)[number]): number[] {
  const [fraction, low, high] = FORMATS[dtype];
  const numbers: number[] = [];
  for (let i = 0; i < 2 ** fraction; ++i) numbers.push(i * 2 ** (low - fraction));
  for (let e = low; e <= high; ++e) {
    for (let i = 0; i < 2 ** fraction; ++i) numbers.push((2 ** fraction + i) * 2 ** (e - fraction));
  }
  return numbers;
}

export function rounded(values: ArrayLike<number>, dtype: FloatDType): Float32Array {
  return Float32Array.from(values, (x) => round(x, dtype));
}
