'use strict';
// The steps of `npm run gpu`, in their order. Each takes where it runs, and how long it may, and tells how it went:
//   { failed, result, details }   `result` is a line for the summary, `details` are more lines.

const fs = require('node:fs');
const path = require('node:path');
const { runBounded } = require('./gpu-process.cjs');
const { sanitize } = require('./gpu-sanitizer.cjs');

const JEST = 'node_modules/jest/bin/jest.js';

/** What a GPU does not change: left out, and said so. */
const LEFT_OUT = [
  ['test/timing/', "how punctual the event loop is beside the CPU's threads, and resident memory of the host"],
  ['test/layout', 'which source file imports which'],
];

const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

/** jest's counts, and the names of what failed. */
function readJest(file, root) {
  const results = JSON.parse(fs.readFileSync(file, 'utf8'));
  const failures = results.testResults.flatMap(({ name, status, assertionResults }) => {
    const place = path.relative(path.join(root, 'build'), name);
    if (status === 'failed' && assertionResults.length === 0) return [`${place} does not load`];
    const failed = assertionResults.filter((test) => test.status === 'failed');
    return failed.map(({ fullName }) => `${place}: ${fullName}`);
  });
  const { numPassedTests: passed, numFailedTests, numRuntimeErrorTestSuites, numPendingTests: skipped } = results;
  return { passed, failed: numFailedTests + numRuntimeErrorTestSuites, skipped, failures };
}

async function tests({ root, folder, limitMs }) {
  const json = path.join(folder, 'jest.json');
  const ignored = LEFT_OUT.map(([place]) => `--testPathIgnorePatterns=${place}`);
  const args = [JEST, '--ci', ...ignored, '--json', `--outputFile=${json}`];
  const env = { HEDDLE_DEVICE: 'cuda' };
  const { status, output, timedOut } = await runBounded(process.execPath, args, {
    cwd: root,
    env,
    limitMs,
    log: path.join(folder, 'tests.log'),
  });
  const leftOut = LEFT_OUT.map(([place, reason]) => `left out: ${place} (${reason})`);
  if (!isFile(json)) {
    const files = (kind) => output.match(new RegExp(`^${kind} build/test`, 'gm'))?.length ?? 0;
    const result = `${timedOut ? 'out of time' : 'jest ended early'}: ${files('PASS')} files passed, ${files('FAIL')} failed`;
    return { failed: true, result, details: leftOut };
  }
  const { passed, failed, skipped, failures } = readJest(json, root);
  fs.rmSync(json); // a megabyte that says little more
  const details = [...failures.map((name) => `failed: ${name}`), ...leftOut];
  return { failed: status !== 0, result: `${passed} passed, ${failed} failed, ${skipped} skipped`, details };
}

/** `npm start`, without npm. */
async function start({ root, folder, limitMs }) {
  const { scripts } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const [, ...script] = scripts.start.split(' ');
  const { status, output, timedOut } = await runBounded(process.execPath, [...script, '--device', 'cuda'], {
    cwd: root,
    limitMs,
    log: path.join(folder, 'start.log'),
  });
  const lastLine = output.trim().split('\n').at(-1);
  return { failed: status !== 0, result: timedOut ? 'out of time' : lastLine, details: [] };
}

async function bench({ root, folder, limitMs }) {
  const log = path.join(folder, 'bench.log');
  // It measures by the clock and writes what it has: it ends by itself, a little before it is ended.
  const seconds = Math.max(1, Math.floor(limitMs / 1000 - 10));
  const args = ['bench/gpu.mjs', '--seconds', String(seconds), '--out', folder];
  const { status, output, timedOut } = await runBounded(process.execPath, args, { cwd: root, limitMs, log });
  const lastLine = output.trim().split('\n').at(-1);
  return { failed: status !== 0, result: timedOut ? 'out of time' : lastLine, details: [] };
}

/** Weights say how time is shared. The sanitizer is last: it may be refused, and slows all down. */
const STEPS = [
  { name: 'tests', weight: 40, run: tests },
  { name: 'start', weight: 3, run: start },
  { name: 'bench', weight: 35, run: bench },
  { name: 'memcheck', group: 'sanitizer', weight: 11, run: (place) => sanitize('memcheck', place) },
  { name: 'racecheck', group: 'sanitizer', weight: 11, run: (place) => sanitize('racecheck', place) },
];

module.exports = { STEPS };
