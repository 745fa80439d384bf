'use strict';
// Makes of dist/, as tsc left it, what the package ships: the library and the command line in one file each, beside the
// types. Modules by the hundred take more than twice as long to load. `tsc` undoes it.

const esbuild = require('esbuild');
const fs = require('node:fs');
const path = require('node:path');

process.chdir(path.resolve(__dirname, '..'));

const ENTRIES = ['index', 'cli/main'];
const KEPT = [...ENTRIES.map((entry) => `${entry}.js`), 'index.mjs'];

fs.rmSync('build/stamps/dist', { force: true }); // a packing that is cut short leaves no modules for tests
for (const file of fs.readdirSync('dist', { recursive: true })) {
  const ships = KEPT.includes(file) || (/\.d\.m?ts$/.test(file) && !/^(cli|start)\b/.test(file));
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
    logLevel: 'warning',
  });
}
