import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { OnnxCase } from './case';
import { operators } from './operators';
import { runCase } from './run';

// The ONNX standard's own cases: a folder of JSON files, from CONFORMANCE_DIR.
const root = process.env.CONFORMANCE_DIR ?? path.resolve('../shared/conformance');
const folder = existsSync(path.join(root, 'onnx')) ? path.join(root, 'onnx') : root;
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];

if (files.length === 0) test.skip(`there are no cases in ${folder}`, () => undefined);

for (const file of files.sort()) {
  const given = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as OnnxCase;
  const name = path.basename(file, '.json');
  if (operators[given.op]) {
    test(name, async () => runCase(given));
  } else {
    test.skip(`${name}: no operator ${given.op}`, () => undefined);
  }
}
