import { readFileSync, readdirSync } from 'node:fs';
import { join, posix, resolve, sep } from 'node:path';

// Imports point one way. Each row: a part of the tree, and what it may import besides itself. The first match counts;
// what no row names (lib/index.ts, lib/pipeline.ts, …) stands on top and may import anything.
const layers: [part: string, mayImport: string[]][] = [
  ['lib/native.ts', ['node-gyp-build']],
  ['lib/tensor/', ['lib/native']],
  ['lib/ops/', ['lib/native', 'lib/tensor/']],
  ['lib/nn/', ['lib/tensor/', 'lib/ops/']],
  ['lib/weights/', ['lib/native', 'lib/tensor/']],
  ['lib/tokenizer/', ['@huggingface/tokenizers']],
  ['lib/generation/', ['lib/native', 'lib/tensor/', 'lib/ops/']],
  ['lib/cli/', ['lib/index', 'commander', 'cli-progress']],
  ['lib/models/', ['lib/tensor/', 'lib/ops/', 'lib/nn/', 'lib/weights/', 'lib/generation/']],
  ['native/core/', []],
  ['native/ops/', ['native/core/']],
  ['native/scores/', ['native/core/', 'native/ops/']],
  ['native/weights/', ['native/core/', 'native/ops/']],
  ['native/cpu/', ['native/core/', 'native/ops/', 'native/scores/']],
  ['native/cuda/', ['native/core/', 'native/ops/', 'native/scores/', 'cuda']],
  ['native/binding/', ['native/core/', 'native/ops/', 'native/weights/', 'napi.h', 'node_api.h']],
];

// Doors: packages and headers that only the rows above that name them may open.
const doors = [
  'node-gyp-build',
  '@huggingface/tokenizers',
  'commander',
  'cli-progress',
  'napi.h',
  'node_api.h',
  'cuda',
];

// Argument checks and the reading of JSON files are for everybody.
const shared = ['lib/check', 'lib/json'];

const root = resolve(__dirname, '../..');
const importOf = { ts: /(?:\bfrom|\bimport|\brequire)\s*\(?\s*'([^']+)'/g, cc: /^\s*#\s*include\s*["<]([^">]+)/gm };

function* imports(file: string): Generator<string> {
  const isNative = file.startsWith('native/');
  const inTree = isNative ? /^(core|ops|scores|weights|cpu|cuda|binding)\// : /^\.\.?\//;
  const folder = isNative ? 'native' : posix.dirname(file);
  for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(importOf[isNative ? 'cc' : 'ts'])) {
    yield inTree.test(name!) ? posix.join(folder, name!) : name!;
  }
}

const isLocal = (name: string) => /^(lib|native)\//.test(name);
const files = ['lib', 'native']
  .flatMap((top) => readdirSync(join(root, top), { recursive: true, encoding: 'utf8' }).map((name) => join(top, name)))
  .map((file) => file.split(sep).join('/'))
  .filter((file) => /\.(m?ts|h|cc|cu|cuh)$/.test(file));

test('imports point one way', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const [part, mayImport] = layers.find(([part]) => file.startsWith(part)) ?? ['', ['lib/']];
    for (const name of imports(file)) {
      const allowed = [part || 'lib/', ...shared, ...mayImport].some((prefix) => name.startsWith(prefix));
      if (!allowed && (isLocal(name) || doors.some((door) => name.startsWith(door)))) wrong.push(`${file} -> ${name}`);
    }
  }
  expect(wrong).toEqual([]);
});
