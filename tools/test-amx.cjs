'use strict';
// `npm run test:amx`: an addon whose level amx runs on an emulation of the tiles, in build/amx, and with it the tests of
// what AMX computes: the instructions, linear, attention and small models. On a processor that has AMX its own
// instructions are tested as well. Further arguments go to jest.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const folder = path.join(root, 'build', 'amx');
const tests = ['test/ops/(linear|attention|bytes|kv-cache|fixtures)', 'test/models/(fixtures|bytes|llama-bytes)'];

function run(command, args, options = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) process.exit(status ?? 1);
}

/** Builds and runs the native test of a build tree. */
function testInstructions(tree, title) {
  run('cmake', ['--build', tree, '--target', 'heddle_amx_test', '-j2'], { stdio: 'ignore' });
  console.log(`heddle: tiles of AMX, ${title}`);
  run(path.join(tree, 'heddle_amx_test'), []);
}

const flags = fs.existsSync('/proc/cpuinfo') ? fs.readFileSync('/proc/cpuinfo', 'utf8') : '';
const has = (...names) => names.every((name) => new RegExp(`^flags.*\\b${name}\\b`, 'm').test(flags));
if (!has('avx512f', 'avx512bw', 'avx512dq', 'avx512vl')) {
  console.log('heddle: the level amx includes AVX-512, which this machine does not have: nothing was tested');
  process.exit(0);
}

run(process.execPath, ['tools/build-native.cjs', `--into=${path.join(folder, 'build')}`, '-DHEDDLE_AMX=emulated'], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
testInstructions(path.join(folder, 'build', 'cmake', 'Release'), 'emulated');
if (has('amx_tile', 'amx_bf16')) testInstructions(path.join(root, 'build', 'cmake', 'Release'), "the processor's own");

const jest = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
run(process.execPath, [jest, '--testPathPatterns', tests.join('|'), ...process.argv.slice(2)], {
  // node-gyp-build looks into build/Release of this folder.
  env: { ...process.env, HEDDLE_PREBUILD: folder, HEDDLE_CPU: 'amx' },
});
