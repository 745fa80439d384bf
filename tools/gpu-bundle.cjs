'use strict';
// `npm run gpu:bundle`: .gpu/bundle.tar.xz, what a host with a GPU but no Node, no compiler and no network needs to run
// the steps of tools/gpu.cjs. There: tar xf bundle.tar.xz && sh run.sh [step]...

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const archive = path.join(root, '.gpu', 'bundle.tar.xz');
const MAX_BYTES = 45 * 2 ** 20;

/** Of the repository; `build/Release` and the packages are chosen further down. */
const PARTS = [
  'package.json',
  'LICENSE',
  'jest.config.cjs',
  'dist',
  'models',
  'build/test',
  'test/fixtures',
  'test/realm-env.cjs',
  ...['gpu.mjs', 'gpu-measure.mjs', 'gpu-shapes.mjs', 'gpu-table.mjs', 'gpu_peers.py'].map((file) => `bench/${file}`),
  ...['gpu.cjs', 'gpu-process.cjs', 'gpu-sanitizer.cjs', 'gpu-steps.cjs'].map((file) => `tools/${file}`),
];
const BINARIES = ['heddle.node', 'heddle-cuda.so'].map((file) => `build/Release/${file}`);
// Of packages: what nothing at run time reads.
const NEVER_READ = /\.(map|md|markdown|tsbuildinfo|[cm]?ts|flow)$/i;

const RUN = `#!/bin/sh
# The steps of tools/gpu.cjs, with the Node that came along: sh run.sh [tests | start | bench | sanitizer]...
# Results: HEDDLE_RESULTS, default app/bench/results/<device>-<date>.
here=$(cd "$(dirname "$0")" && pwd)
PATH="$here/bin:$PATH" exec "$here/bin/node" "$here/app/tools/gpu.cjs" --built "$@"
`;

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw error ?? new Error(`${command} ${args[0]} failed`);
}

/** Folders of the packages that these need at run time, all of what they need included; as npm installed them. */
function closure(names) {
  const found = new Set();
  const visit = (from, name) => {
    // As Node looks: in the node_modules of each folder on the way up.
    for (let folder = from; ; folder = path.dirname(folder)) {
      const candidate = path.join(folder, 'node_modules', name);
      if (fs.existsSync(path.join(candidate, 'package.json'))) return enter(candidate);
      if (folder === root) return; // optional, and not for this platform
    }
  };
  const enter = (folder) => {
    if (found.has(folder)) return;
    found.add(folder);
    const file = path.join(folder, 'package.json');
    const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(fs.readFileSync(file, 'utf8'));
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }))
      visit(folder, name);
  };
  for (const name of names) visit(root, name);
  return [...found];
}

function bytesOf(place) {
  const stat = fs.statSync(place);
  if (!stat.isDirectory()) return stat.size;
  return fs.readdirSync(place).reduce((sum, name) => sum + bytesOf(path.join(place, name)), 0);
}
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Node, stripped if there is a strip: of 95 MB it leaves 80. */
function copyNode(to) {
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.copyFileSync(process.execPath, to);
  fs.chmodSync(to, 0o755);
  spawnSync('strip', ['--strip-all', to]);
}

function stage(folder) {
  const app = path.join(folder, 'app');
  const copy = (from, filter) =>
    fs.cpSync(from, path.join(app, path.relative(root, from)), { recursive: true, dereference: true, filter });
  for (const part of [...PARTS, ...BINARIES]) copy(path.join(root, part));
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const packages = closure(['jest', ...Object.keys(dependencies)]);
  for (const one of packages) {
    // Packages inside a package come by themselves, if anybody needs them.
    copy(one, (file) => !NEVER_READ.test(file) && path.relative(one, file).split(path.sep)[0] !== 'node_modules');
  }
  copyNode(path.join(folder, 'bin', 'node'));
  const { stdout } = spawnSync('git', ['describe', '--always', '--dirty', '--abbrev=12'], {
    cwd: root,
    encoding: 'utf8',
  });
  fs.writeFileSync(path.join(app, 'commit.txt'), stdout || 'unknown\n');
  fs.writeFileSync(path.join(folder, 'run.sh'), RUN, { mode: 0o755 });
  return packages.length;
}

run(process.execPath, ['tools/setup.cjs', '--test']);
run(process.execPath, ['tools/build-cuda.cjs']);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'heddle-bundle-'));
try {
  const packages = stage(folder);
  fs.mkdirSync(path.dirname(archive), { recursive: true });
  run('sh', ['-c', 'tar --sort=name --owner=0 --group=0 -C "$0" -cf - . | xz -T0 -9e > "$1"', folder, archive]);
  const parts = ['bin', 'app/node_modules', 'app/build', 'app/test', 'app/models'];
  for (const part of parts) console.log(`${part}: ${mebibytes(bytesOf(path.join(folder, part)))} unpacked`);
  const bytes = fs.statSync(archive).size;
  console.log(`${path.relative(root, archive)}: ${mebibytes(bytes)}, ${packages} packages`);
  if (bytes > MAX_BYTES) {
    console.error(`heddle: the bundle must stay below ${mebibytes(MAX_BYTES)}`);
    process.exitCode = 1;
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}
