import { expectClose } from '../support/compare';
import { Call, dtypeOf, numbersOf, toleranceOf, type OnnxCase } from './case';
import { openOrder, operators } from './operators';

/** Each line along an axis in rising order. */
function sortedAlong(numbers: readonly number[], shape: readonly number[], axis: number): number[] {
  const step = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const count = shape[axis]!;
  const out = [...numbers];
  for (let first = 0; first < out.length; ++first) {
    if (Math.floor(first / step) % count !== 0) continue;
    const places = Array.from({ length: count }, (_, i) => first + i * step);
    const line = places.map((place) => numbers[place]!).sort((a, b) => a - b);
    for (const [i, place] of places.entries()) out[place] = line[i]!;
  }
  return out;
}

/** Computes a case and fails unless its outputs are those expected. */
export async function runCase(given: OnnxCase): Promise<void> {
  const results = operators[given.op]!(new Call(given));
  const axis = openOrder(given);
  expect(given.outputs.length).toBeGreaterThan(0);
  for (const [i, expected] of given.outputs.entries()) {
    if (!expected) continue;
    const result = results[i]!;
    expect([result.shape, result.dtype]).toEqual([expected.shape, dtypeOf(expected)]);
    const inOrder = (numbers: readonly number[]) =>
      axis === undefined ? numbers : sortedAlong(numbers, expected.shape, axis);
    const actual = inOrder(Array.from(await result.data()));
    expectClose(actual, inOrder(numbersOf(expected)), toleranceOf(expected), `${expected.name}: element`);
  }
}
