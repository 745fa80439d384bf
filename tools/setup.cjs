'use strict';
// Everything `npm start` and `npm test` need on a fresh clone: dependencies, native addon, TypeScript; with --test the
// compiled tests as well. A step whose inputs have not changed since it last succeeded is not even started.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

process.chdir(path.resolve(__dirname, '..'));

const mtimeMs = (file) => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Newest change in these files and folders. A folder's own time counts: it tells of removed files. */
function newest(paths) {
  let latest = 0;
  for (const file of paths) {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (!stat) continue;
    latest = Math.max(latest, stat.mtimeMs);
    if (stat.isDirectory())
      latest = Math.max(latest, newest(fs.readdirSync(file).map((name) => path.join(file, name))));
  }
  return latest;
}

/** One line if all goes well; the command's own output if it fails or warns. */
function run(title, command, args) {
  process.stderr.write(`heddle: ${title} … `);
  const started = Date.now();
  const options = { encoding: 'utf8', maxBuffer: 2 ** 28, shell: process.platform === 'win32' && command === 'npm' };
  const { status, error, stdout, stderr } = spawnSync(command, args, options);
  const output = [error?.message, stdout, stderr].filter(Boolean).join('\n');
  if (status !== 0) {
    process.stderr.write(`failed\n${output}`);
    process.exit(status ?? 1);
  }
  process.stderr.write(`${((Date.now() - started) / 1000).toFixed(1)} s\n`);
  if (output.includes('warning:')) process.stderr.write(output);
}

/** Runs a node script unless `output` is there and its stamp is newer than every input. */
function build({ title, inputs, output, clean, script }) {
  const stamp = path.join('build', 'stamps', path.basename(output));
  if (fs.existsSync(output) && newest([...inputs, 'package-lock.json']) < mtimeMs(stamp)) return;
  const started = new Date(); // a file saved while the step runs must count as newer
  if (clean) fs.rmSync(output, { recursive: true, force: true });
  run(title, process.execPath, script);
  fs.mkdirSync(path.dirname(stamp), { recursive: true });
  fs.writeFileSync(stamp, '');
  fs.utimesSync(stamp, started, started);
}

if (mtimeMs('node_modules/.package-lock.json') < mtimeMs('package-lock.json')) {
  run('installing dependencies', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
}
build({
  title: 'building the native addon',
  inputs: ['native', 'CMakeLists.txt', 'tools/build-native.cjs'],
  output: 'build/Release/heddle.node',
  script: ['tools/build-native.cjs'],
});
// Compiled into an empty folder: a removed test must not go on running.
build({
  title: 'compiling TypeScript',
  inputs: ['lib', 'tsconfig.json'],
  output: 'dist',
  clean: true,
  script: ['node_modules/typescript/bin/tsc'],
});
if (process.argv.includes('--test')) {
  build({
    title: 'compiling the tests',
    inputs: ['lib', 'test', 'tsconfig.json', 'tsconfig.test.json'],
    output: 'build/test',
    clean: true,
    script: ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json'],
  });
}
