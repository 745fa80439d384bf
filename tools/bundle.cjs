'use strict';
// Makes of dist/, as tsc left it, what the package ships: the library and the command line in one file each, beside the
// types. Modules by the hundred take more than twice as long to load. `tsc` undoes it.

const esbuild = require('esbuild');
const fs = require('node:fs');
const path = require('node:path');

process.chdir(path.resolve(__dirname, '..'));

const ENTRIES = ['index', 'cli/main'];
const KEPT = [...ENTRIES.map((entry) => `${entry}.js`), 'index.mjs', 'index.d.mts'];

/** A file of types and those that it names, into `found`. */
function followTypes(file, found) {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, module] of fs
    .readFileSync(path.join('dist', file), 'utf8')
    .matchAll(/(?:from|import\() ?['"](\.[^'"]+)['"]/g)) {
    const target = path.join(path.dirname(file), module);
    followTypes(
      fs.existsSync(path.join('dist', `${target}.d.ts`)) ? `${target}.d.ts` : path.join(target, 'index.d.ts'),
      found,
    );
  }
  return found;
}
const types = followTypes('index.d.ts', new Set());

fs.rmSync('build/stamps/dist', { force: true }); // a packing that is cut short leaves no modules for tests
for (const file of fs.readdirSync('dist', { recursive: true })) {
  const ships = KEPT.includes(file) || types.has(file);
  if (!ships && fs.statSync(path.join('dist', file)).isFile()) fs.rmSync(path.join('dist', file));
}
for (const entry of ENTRIES) {
  esbuild.buildSync({
    entryPoints: [path.join('lib', `${entry}.ts`)],
    outfile: path.join('dist', `${entry}.js`),
    bundle: true,
    platform: 'node',
    target: 'node20',
    packages: 'external',
    external: entry === 'index' ? [] : ['../index'], // the command line uses the library beside it
    minifyWhitespace: true, // names stay, for who reads a stack
    minifySyntax: true,
    logLevel: 'warning',
  });
}
