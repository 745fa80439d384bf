'use strict';
// `npm run test:stress [step]...`: what takes too long for `npm test`.
//
//   workers      8 workers × 200 rounds of loading, generating, aborting, failing and being terminated
//   misuse       100,000 calls of all public functions, with random wrong arguments
//   sanitizers   the native side without Node for a minute each, under ThreadSanitizer and under AddressSanitizer with
//                UndefinedBehaviorSanitizer; and where memory is scarce
//   addons       the tests of ops, layers, tensors, weights, models and misuse with an addon under AddressSanitizer and
//                UndefinedBehaviorSanitizer, those of ops for each instruction set; a quarter of an hour each
//   safetensors  10 minutes of libFuzzer on the reader (clang with its compiler-rt)
//
// HEDDLE_STRESS=0.1 makes each of them a tenth as long.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const length = Number(process.env.HEDDLE_STRESS || 1);
const times = (count) => Math.max(1, Math.round(count * length));

function run(command, args, env = {}) {
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, ...env } };
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, options);
  if (status === 0) return stdout;
  const output = [error?.message, stdout, stderr].filter(Boolean).join('\n').slice(-20_000);
  throw new Error(`${[command, ...args].join(' ')} ended with ${signal ?? status}\n${output}`);
}
/** What sanitizers are told, in whichever process. */
const WATCH = { UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1', TSAN_OPTIONS: 'halt_on_error=1' };
const WATCHED = 'address,undefined';

/** Builds the addon under both, in build/asan; its build tree. */
function watchedTree() {
  const into = path.join('build', 'asan', 'build');
  run(process.execPath, ['tools/build-native.cjs', `--into=${into}`, `-DHEDDLE_SANITIZE=${WATCHED}`]);
  return path.join(into, 'cmake', 'Release');
}

function threadTree() {
  const tree = path.join('build', 'tsan');
  run('cmake', ['-S', '.', '-B', tree, '-DHEDDLE_SANITIZE=thread', '-DCMAKE_BUILD_TYPE=RelWithDebInfo']);
  return tree;
}

/** Tests with the watched addon, not those that measure memory; how many passed. */
function testWatched(pattern, env) {
  const report = path.join('build', 'asan', 'jest.json');
  const libraries = ['libasan.so', 'libubsan.so'].map((name) => run('g++', [`-print-file-name=${name}`]).trim());
  const jest = path.join('node_modules', 'jest', 'bin', 'jest.js');
  const flags = ['-i', '--testTimeout', '600000', '--json', `--outputFile=${report}`, '--testPathPatterns', pattern];
  if (length < 1) flags.push(`--shard=1/${Math.round(1 / length)}`);
  run(process.execPath, [jest, ...flags], {
    ...WATCH,
    // Node itself is not watched: what it frees at its end, and how, is its own affair.
    ASAN_OPTIONS: 'detect_leaks=0:alloc_dealloc_mismatch=0',
    LD_PRELOAD: libraries.join(' '),
    HEDDLE_PREBUILD: path.join(root, 'build', 'asan'),
    ...env,
  });
  return JSON.parse(fs.readFileSync(path.join(root, report), 'utf8')).numPassedTests;
}

const support = (name) => path.join('build', 'test', 'support', `${name}.js`);

const steps = {
  workers() {
    const rounds = times(200);
    const { lives, problems, early, late } = JSON.parse(
      run(process.execPath, ['--expose-gc', support('workers-stress'), '8', String(rounds)]),
    );
    const memory = `memory ${(early / 1e6).toFixed(0)} MB, later ${(late / 1e6).toFixed(0)} MB`;
    if (problems.length > 0) throw new Error(problems.join('\n'));
    if (late > early * 1.35) throw new Error(`memory grows: ${memory}`);
    return `${lives} lives, ${memory}`;
  },

  misuse() {
    const seeds = 4;
    const wanted = times(100_000 / seeds);
    let [all, known] = [0, 0];
    for (let seed = 1; seed <= seeds; ++seed) {
      const ended = run(process.execPath, [support('fuzz'), String(seed), String(wanted), '3600']);
      const { calls, functions, uncalled, wrong } = JSON.parse(ended);
      if (wrong.length > 0) throw new Error(`seed ${seed}: ${JSON.stringify(wrong, null, 2)}`);
      if (calls < wanted) throw new Error(`seed ${seed}: ${calls} calls of ${wanted} in an hour`);
      if (uncalled.length > 0) throw new Error(`seed ${seed}: never called: ${uncalled.join(', ')}`);
      [all, known] = [all + calls, functions];
    }
    return `${all} calls of ${known} functions`;
  },

  sanitizers() {
    const told = [];
    for (const [sanitizer, makeTree] of Object.entries({ thread: threadTree, [WATCHED]: watchedTree })) {
      const tree = makeTree();
      run('cmake', ['--build', tree, '--target', 'heddle_stress', '-j2']);
      for (const [scarcity, seconds] of Object.entries({ 0: 60, 1000: 15, 50: 15 })) {
        run(path.join(tree, 'heddle_stress'), [times(seconds), 4, 1, scarcity].map(String), WATCH);
      }
      told.push(`${sanitizer} ${times(60)} s, and ${2 * times(15)} s without memory now and then`);
    }
    return told.join('; ');
  },

  addons() {
    watchedTree();
    const all = testWatched(
      'test/(ops|nn|tensor|weights/(?!sharing)|generation|misuse|models/(fixtures|defaults|rotary))',
    );
    const told = [`${all} tests`];
    const { instructionSet } = require('../dist/index.js').devices()[0];
    const levels = process.arch === 'arm64' ? ['generic', 'neon'] : ['generic', 'avx2', 'avx512', 'amx'];
    for (const level of levels.slice(0, Math.max(0, levels.indexOf(instructionSet)))) {
      told.push(`${testWatched('test/ops/(?!bytes)', { HEDDLE_CPU: level })} of ops for ${level}`);
    }
    return told.join(', ');
  },

  safetensors() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'heddle-fuzz-'));
    try {
      const fuzzer = path.join(folder, 'fuzz');
      const sources = ['weights/file.cc', 'weights/json.cc', 'weights/safetensors.cc', 'core/error.cc'];
      run('clang++', [
        ...['-std=c++17', '-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all', '-Inative'],
        'test/native/fuzz-safetensors.cc',
        ...sources.map((source) => `native/${source}`),
        ...['-o', fuzzer],
      ]);
      fs.mkdirSync(path.join(folder, 'corpus'));
      const seed = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}01234567';
      fs.writeFileSync(path.join(folder, 'corpus', 'seed'), seed);
      const options = [`-max_total_time=${times(600)}`, '-max_len=4096', '-verbosity=0', '-artifact_prefix=build/'];
      run(fuzzer, [path.join(folder, 'corpus'), ...options]);
      return `${times(600)} s`;
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  },
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in steps));
if (unknown) {
  console.error(`heddle: there is no step ${unknown}, but ${Object.keys(steps).join(', ')}`);
  process.exit(2);
}
for (const [name, step] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    console.log(`${name}: ${step()}`);
  } catch (error) {
    console.error(`${name}: failed\n${error.message}`);
    process.exitCode = 1;
  }
}
