'use strict';
// `npm run test:amx`: the tests of what AMX computes, which are its instructions, linear, attention and small models. On
// a processor without AMX, with an addon of its own in build/amx: its kernels are those of any other, but each
// instruction that the processor does not know is trapped and emulated. Further arguments go to jest.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
// Models whose many prompts take minutes so are left out.
const tests = [
  'test/ops/(linear|quantized-linear|attention|bytes|kv-cache|fixtures)',
  'test/models/(fixtures|llama-bytes)',
];

function run(command, args, options = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) process.exit(status ?? 1);
}

const flags = fs.existsSync('/proc/cpuinfo') ? fs.readFileSync('/proc/cpuinfo', 'utf8') : '';
const has = (...names) => names.every((name) => new RegExp(`^flags.*\\b${name}\\b`, 'm').test(flags));
if (!has('avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'avx512_vnni')) {
  console.log('heddle: the level amx includes AVX-512 with VNNI, which this machine does not have: nothing was tested');
  process.exit(0);
}

const emulated = !has('amx_tile', 'amx_bf16', 'amx_int8');
const folder = emulated ? path.join(root, 'build', 'amx') : root;
const into = path.join(folder, 'build');
console.log(`heddle: AMX, ${emulated ? 'emulated' : "the processor's own"}`);
if (emulated) {
  run(process.execPath, ['tools/build-native.cjs', `--into=${into}`, '-DHEDDLE_AMX=emulated'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
const tree = path.join(into, 'cmake', 'Release');
run('cmake', ['--build', tree, '--target', 'heddle_amx_test', '-j2'], { stdio: ['ignore', 'ignore', 'inherit'] });
run(path.join(tree, 'heddle_amx_test'), []);

const jest = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const options = ['--testPathPatterns', tests.join('|'), '--testTimeout', '600000'];
run(process.execPath, [jest, ...options, ...process.argv.slice(2)], {
  // node-gyp-build looks into build/Release of this folder.
  env: { ...process.env, HEDDLE_PREBUILD: folder, HEDDLE_CPU: 'amx' },
});
