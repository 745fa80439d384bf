#!/usr/bin/env node
'use strict';
// Configures and builds CMakeLists.txt: by cmake-js in a clone, and by CMake itself in an installed package, which has no
// cmake-js. Both see the same files and definitions.
//   tools/setup.cjs           build-native.cjs
//   heddle build              build-native.cjs [-DHEDDLE_CUDA=ON]
//   node-gyp (binding.gyp)    build-native.cjs --Release --arch=x64
//   prebuildify               build-native.cjs --into=build/prebuild/linux-x64/build -D… rebuild --arch=x64 --release …
// --into is the folder of Release/heddle.node and of the build trees.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const argv = process.argv.slice(2);
const option = (name) => argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const arch = option('arch') ?? process.arch;
const into = path.resolve(root, option('into') ?? 'build');
const config = argv.some((arg) => /^--debug$/i.test(arg)) ? 'Debug' : 'Release';
const definitions = argv.filter((arg) => arg.startsWith('-D'));
// build/ itself belongs to node-gyp, which keeps its Makefile there.
const tree = path.join(into, 'cmake', arch === process.arch ? config : `${config}-${arch}`);

const forward = (file) => file.split(path.sep).join('/'); // CMake's separator
const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** What is not installed. On Windows CMake finds Visual Studio itself, and says so when there is none. */
function missingTools() {
  const compilers = process.env.CXX ? [process.env.CXX.split(' ')[0]] : ['c++', 'g++', 'clang++'];
  const missing = [];
  if (!runs('cmake')) missing.push('CMake (3.18 or later)');
  if (process.platform !== 'win32' && !compilers.some(runs)) missing.push('a C++17 compiler');
  return missing;
}

/** Where CMake cannot know it: which generator, and which processor. */
function platformFlags() {
  if (process.platform === 'win32') return ['-A', { x64: 'x64', arm64: 'ARM64' }[arch] ?? arch];
  const flags = runs('ninja') ? ['-G', 'Ninja'] : [];
  if (process.platform === 'darwin') flags.push(`-DCMAKE_OSX_ARCHITECTURES=${arch === 'x64' ? 'x86_64' : arch}`);
  return flags;
}

function run(command, args) {
  const env = { ...process.env };
  for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL']) delete env[name]; // not a part of node-gyp's make
  const { status } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const jobs = String(Math.max(2, os.availableParallelism()));

const byCMake = {
  configure: (all) => run('cmake', ['-S', root, '-B', tree, '--log-level=NOTICE', ...platformFlags(), ...all]),
  build: () => run('cmake', ['--build', tree, '--config', config, '--parallel', jobs]),
};

const byCMakeJs = (cli) => {
  const fixed = ['--directory', root, '--out', tree, '--arch', arch, '--parallel', jobs, '--log-level', 'error'];
  if (config === 'Debug') fixed.push('--debug');
  const call = (command, all) => run(process.execPath, [cli, command, ...fixed, ...all]);
  return {
    configure: (all) =>
      call(
        'configure',
        all.map((definition) => definition.replace('-D', '--CD')),
      ),
    build: () => call('build', []), // not `compile`, which answers a compile error by building everything again
  };
};

/** The path of cmake-js; undefined where it is not installed. */
function findCMakeJs() {
  try {
    return require.resolve('cmake-js/bin/cmake-js');
  } catch {
    return undefined;
  }
}

const missing = missingTools();
if (missing.length > 0) {
  console.error(`heddle: the native addon needs ${missing.join(' and ')}, which could not be found.
  Debian, Ubuntu   sudo apt-get install cmake g++ ninja-build
  Fedora           sudo dnf install cmake gcc-c++ ninja-build
  macOS            xcode-select --install && brew install cmake ninja
  Windows          winget install Kitware.CMake Microsoft.VisualStudio.2022.BuildTools
                   (with the workload "Desktop development with C++")`);
  process.exit(1);
}

const cli = findCMakeJs();
const builder = cli ? byCMakeJs(cli) : byCMake;
if (argv.includes('rebuild')) fs.rmSync(tree, { recursive: true, force: true });
if (definitions.length > 0 || !fs.existsSync(path.join(tree, 'CMakeCache.txt'))) {
  const fixed = [
    `-DCMAKE_BUILD_TYPE=${config}`,
    `-DHEDDLE_OUTPUT=${forward(into)}/$<CONFIG>`,
    `-DHEDDLE_NODE=${forward(process.execPath)}`,
  ];
  builder.configure([...fixed, ...definitions]);
}
builder.build();
