import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expectClose } from '../support/compare';
import { Call, dtypeOf, numbersOf, toleranceOf, type OnnxCase } from './case';
import { openOrder, operators } from './operators';

// The ONNX standard's own cases: a folder of JSON files, from CONFORMANCE_DIR.
const root = process.env.CONFORMANCE_DIR ?? path.resolve('../shared/conformance');
const folder = existsSync(path.join(root, 'onnx')) ? path.join(root, 'onnx') : root;
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];

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

if (files.length === 0) test.skip(`there are no cases in ${folder}`, () => undefined);

for (const file of files.sort()) {
  const given = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as OnnxCase;
  const operator = operators[given.op];
  const name = path.basename(file, '.json');
  // An operator that the table has not is told by name.
  (operator ? test : test.skip)(operator ? name : `${name}: no operator ${given.op}`, async () => {
    const results = operator!(new Call(given));
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
  });
}
