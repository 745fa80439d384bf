'use strict';
// `npm run test:simulator`: the tests of ops, layers, tensors and small models on a CUDA device that the simulator plays. Further
// arguments go to jest.

const { spawnSync } = require('node:child_process');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const tree = path.join(root, 'build', 'simt');
// Not those of speed, of JavaScript alone, and of models that would take minutes.
const tests = [
  'test/ops/',
  'test/generation/processors',
  'test/nn/',
  'test/tensor/',
  'test/misuse',
  'test/weights/',
  'test/models/(fixtures|defaults|quantization|cache-dtype|rotary)',
];

function run(command, args, options = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) process.exit(status ?? 1);
}

run('cmake', ['-S', '.', '-B', tree, '-DHEDDLE_SIMT=ON', '-DCMAKE_BUILD_TYPE=Release'], { stdio: 'ignore' });
run('cmake', ['--build', tree, '--target', 'heddle_cuda_simulator', '-j2'], { stdio: 'ignore' });
const jest = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
run(process.execPath, [jest, '--testPathPatterns', tests.join('|'), ...process.argv.slice(2)], {
  env: { ...process.env, HEDDLE_CUDA: 'simulator', HEDDLE_DEVICE: 'cuda' },
});
