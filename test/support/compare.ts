/** How far two numbers may be apart: abs + rel · |expected|. */
export interface Tolerance {
  abs: number;
  rel: number;
}

/** Of the operations' and the models' fixtures, in float32: see test/fixtures/README.md. */
export const OPS: Tolerance = { abs: 2e-6, rel: 2e-5 };
export const MODELS: Tolerance = { abs: 1e-4, rel: 1e-4 };

const same = (a: number, b: number) => a === b || (Number.isNaN(a) && Number.isNaN(b));

/**
 * Fails unless `actual` has the expected numbers, naming the element that is furthest out. NaN and ±Infinity must stand
 * where they are expected.
 *
 * @param tolerance or the distance that is allowed at an element.
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance | ((index: number) => number),
  name = 'element',
): void {
  const allowed =
    typeof tolerance === 'function' ? tolerance : (i: number) => tolerance.abs + tolerance.rel * Math.abs(expected[i]!);
  if (actual.length !== expected.length) {
    throw new Error(`${name}: ${expected.length} elements expected but got ${actual.length}`);
  }
  let worst = { index: -1, excess: 1, distance: 0 };
  for (let index = 0; index < actual.length; ++index) {
    if (same(actual[index]!, expected[index]!)) continue;
    const distance = Math.abs(actual[index]! - expected[index]!);
    const excess = distance / allowed(index);
    if (Number.isNaN(excess) || excess > worst.excess) worst = { index, excess, distance };
    if (Number.isNaN(excess)) break;
  }
  if (worst.index < 0) return;
  const { index, distance } = worst;
  throw new Error(
    `${name} ${index} of ${actual.length} must be ${expected[index]} ± ${allowed(index)} ` +
      `but is ${actual[index]} (${distance} off)`,
  );
}
