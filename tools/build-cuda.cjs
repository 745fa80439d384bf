'use strict';
// Builds build/Release/heddle-cuda.so, beside the addon. Needs nvcc (12.8 or later); no GPU and no driver.

const { spawnSync } = require('node:child_process');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const tree = path.join(root, 'build', 'cuda'); // of its own: its files have nvcc's flags

const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** An nvcc that runs: what CUDACXX names, that of the path, or where its installer puts it. */
function findNvcc() {
  const places = process.env.CUDACXX ? [process.env.CUDACXX] : ['nvcc', '/usr/local/cuda/bin/nvcc'];
  return places.find(runs);
}

function run(args) {
  const { status } = spawnSync('cmake', args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) process.exit(status ?? 1);
}

const nvcc = findNvcc();
if (!nvcc) {
  console.error(
    'heddle: the CUDA library needs nvcc, which could not be found. Set CUDACXX where it is not on the path.',
  );
  process.exit(1);
}
const definitions = ['-DHEDDLE_CUDA=ON', '-DCMAKE_BUILD_TYPE=Release', `-DCMAKE_CUDA_COMPILER=${nvcc}`];
run(['-S', root, '-B', tree, ...definitions, '--log-level=WARNING']);
run(['--build', tree, '--target', 'heddle_cuda', '--parallel']);
