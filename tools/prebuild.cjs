'use strict';
// Fills prebuilds/<platform>-<arch>/ with what the package ships.
//
// Usage: node tools/prebuild.cjs [x64] [arm64] [--without-cuda]
//   Linux: x64, with the CUDA library, which needs nvcc; arm64 by a cross-compiler where the machine is not one. Both
//   run on hosts with glibc 2.28. Needs Debian 12 with cmake, ninja-build, g++ and, for arm64 on x64,
//   g++-aarch64-linux-gnu.
//   macOS, Windows: this machine's own.

const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const prebuildify = promisify(require('prebuildify'));
const { checkFloor } = require('./check-floor.cjs');
const { sysroot, TRIPLETS } = require('./sysroot.cjs');

process.chdir(path.resolve(__dirname, '..'));
const { name } = require('../package.json');
const argv = process.argv.slice(2);
const { platform } = process;

/** What CMakeLists.txt compiles the kernels for besides plain C++. */
const LEVELS = { x64: ['avx2', 'avx512', 'amx'], arm64: ['neon', 'dotprod'] };

/** A level that the compiler does not have is left out of other builds, not of this one. */
function checkKernels(into, arch) {
  const trees = path.join(into, 'cmake');
  const caches = fs.readdirSync(trees).map((tree) => fs.readFileSync(path.join(trees, tree, 'CMakeCache.txt'), 'utf8'));
  const levels = caches.flatMap((cache) => [...cache.matchAll(/^HEDDLE_COMPILES_(\w+):\w+=(.*)$/gm)]);
  const absent = levels.filter(([, , compiles]) => !compiles).map(([, level]) => level.toLowerCase());
  const missing = absent.filter((level) => LEVELS[arch]?.includes(level));
  if (missing.length > 0) throw new Error(`the compiler has no ${missing.join(', no ')}`);
}

async function prebuild(arch, definitions, options) {
  // prebuildify looks into build/Release of its folder; the clone's own stays as it is.
  const cwd = path.join('build', 'prebuild', `${platform}-${arch}`);
  const into = path.join(cwd, 'build');
  const prebuilds = path.join('prebuilds', `${platform}-${arch}`);
  for (const folder of [path.join(into, 'Release'), prebuilds]) fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(cwd, { recursive: true });
  const builder = [process.execPath, path.resolve('tools/build-native.cjs'), `--into=${into}`, ...definitions];
  const nodeGyp = builder.map((word) => `"${word}"`).join(' ');
  await prebuildify({ arch, name, cwd, out: '.', nodeGyp, shell: true, napi: true, strip: true, ...options });
  checkKernels(into, arch);
  return fs.readdirSync(prebuilds).map((file) => path.join(prebuilds, file));
}

async function main() {
  const wanted = argv.filter((arg) => arg in TRIPLETS);
  const files = [];
  if (platform !== 'linux') {
    files.push(...(await prebuild(wanted[0] ?? process.arch, [], {})));
  } else {
    for (const arch of wanted.length > 0 ? wanted : Object.keys(TRIPLETS)) {
      sysroot(arch);
      const cuda = arch === 'x64' && !argv.includes('--without-cuda');
      files.push(
        ...(await prebuild(
          arch,
          [
            `-DCMAKE_TOOLCHAIN_FILE=${path.resolve('tools/linux.cmake')}`,
            `-DHEDDLE_ARCH=${arch}`,
            `-DHEDDLE_CUDA=${cuda ? 'ON' : 'OFF'}`,
          ],
          { tagLibc: 'glibc', stripBin: `${TRIPLETS[arch]}-strip` },
        )),
      );
    }
    checkFloor(files);
  }
  for (const file of files) console.log(`${file}: ${(fs.statSync(file).size / 1e6).toFixed(2)} MB`);
}

main().catch((error) => {
  console.error(`heddle: ${error.message}`);
  process.exitCode = 1;
});
