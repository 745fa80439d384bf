#!/usr/bin/env node
'use strict';
// The only caller of cmake-js:
//   tools/setup.cjs          build-native.cjs
//   node-gyp (binding.gyp)   build-native.cjs --Release --arch=x64
//   prebuildify              build-native.cjs rebuild --target=… --devdir=… --arch=x64 --release
//   a cross build            build-native.cjs --arch=arm64 --CDCMAKE_TOOLCHAIN_FILE=…

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const argv = process.argv.slice(2);
const arch = argv.find((arg) => arg.startsWith('--arch='))?.slice('--arch='.length) ?? process.arch;
const config = argv.some((arg) => /^--debug$/i.test(arg)) ? 'Debug' : 'Release';
const definitions = argv.filter((arg) => arg.startsWith('--CD'));

// build/ itself belongs to node-gyp, which keeps its Makefile there.
const tree = path.join(root, 'build', 'cmake', arch === process.arch ? config : `${config}-${arch}`);

const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/** What is not installed. On Windows cmake-js finds Visual Studio itself, and says so when there is none. */
function missingTools() {
  const compilers = process.env.CXX ? [process.env.CXX.split(' ')[0]] : ['c++', 'g++', 'clang++'];
  const missing = [];
  if (!runs('cmake')) missing.push('CMake (3.18 or later)');
  if (process.platform !== 'win32' && !compilers.some(runs)) missing.push('a C++17 compiler');
  return missing;
}

function cmakeJs(command) {
  const args = ['--directory', root, '--out', tree, '--arch', arch, '--parallel', Math.max(2, os.cpus().length)];
  if (config === 'Debug') args.push('--debug');
  const env = { ...process.env };
  for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL']) delete env[name]; // not a part of node-gyp's make
  const cli = require.resolve('cmake-js/bin/cmake-js');
  const all = [cli, command, ...args.map(String), '--log-level', 'error', ...definitions];
  const { status } = spawnSync(process.execPath, all, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
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

if (argv[0] === 'rebuild') fs.rmSync(tree, { recursive: true, force: true });
// `build` configures a new tree only; not `compile`, which answers a compile error by building everything again.
if (definitions.length > 0) cmakeJs('configure');
cmakeJs('build');
