'use strict';
// `npm run test:prebuilt`: runs the tests of ops and tensors with the prebuilt Linux binaries and Debian 11's own C library
// (tools/sysroot.cjs), older than that of most hosts; arm64 by qemu-user where the machine is not one.
//
// Usage: node tools/test-prebuilt.cjs [x64] [arm64] [pattern of test files]
//   Needs prebuilds/ (npm run prebuild), compiled tests (npm run setup), and for arm64 on x64 Debian's qemu-user or
//   qemu-user-static; QEMU_CPU=cortex-a57 is a processor without products of bytes.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { sysroot, TRIPLETS } = require('./sysroot.cjs');

const root = path.resolve(__dirname, '..');
const argv = process.argv.slice(2);
const LOADERS = { x64: 'ld-linux-x86-64.so.2', arm64: 'ld-linux-aarch64.so.1' };
// Those that start further processes would start this machine's own.
const TESTS = 'test/ops/(?!bytes)|test/tensor/(?!process|limits|devices|workers)';

function run(command, args, options) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) throw error;
  if (signal) console.error(`heddle: ${path.basename(command)} was ended by ${signal}`);
  if (status !== 0) process.exit(status ?? 1);
}

/** The emulator of arm64, by whichever of Debian's two packages it was installed. */
function emulator() {
  const names = ['qemu-aarch64-static', 'qemu-aarch64'];
  return names.find((name) => spawnSync(name, ['-version'], { stdio: 'ignore' }).status === 0) ?? names[0];
}

/** A Node for `arch`, and what jest needs there of its own, from npm. */
function packagesFor(arch) {
  const folder = path.join(root, 'build', 'nodes', arch);
  if (!fs.existsSync(path.join(folder, 'node_modules'))) {
    const { version } = require('../package-lock.json').packages['node_modules/unrs-resolver'];
    const packages = [`node-linux-${arch}@20`, `@unrs/resolver-binding-linux-${arch}-gnu@${version}`];
    const flags = [`--cpu=${arch}`, '--os=linux', '--libc=glibc', '--force', '--ignore-scripts'];
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
    run('npm', ['install', '--silent', '--no-audit', '--no-fund', ...flags, ...packages], { cwd: folder });
  }
  return path.join(folder, 'node_modules');
}

function test(arch, pattern) {
  const libraries = sysroot(arch);
  const packages = packagesFor(arch);
  const node = path.join(packages, `node-linux-${arch}`, 'bin', 'node');
  const folders = ['lib', 'usr/lib'].map((folder) => path.join(libraries, folder, TRIPLETS[arch]));
  const loader = path.join(folders[0], LOADERS[arch]);
  const command = [loader, '--library-path', folders.join(':'), node];
  if (arch !== process.arch) command.unshift(emulator());
  command.push(path.join(root, 'node_modules', 'jest', 'bin', 'jest.js'), '--testPathPatterns', pattern);
  // Emulated, a test that asks for much takes long.
  command.push('--testTimeout', '600000');
  console.log(`heddle: ${arch}, ${path.basename(fs.realpathSync(loader))}`);
  run(command[0], command.slice(1), { env: { ...process.env, PREBUILDS_ONLY: '1', NODE_PATH: packages } });
}

const wanted = argv.filter((arg) => arg in TRIPLETS);
const pattern = argv.find((arg) => !(arg in TRIPLETS)) ?? TESTS;
for (const arch of wanted.length > 0 ? wanted : Object.keys(TRIPLETS)) test(arch, pattern);
