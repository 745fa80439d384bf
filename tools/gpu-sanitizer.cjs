'use strict';
// The tests of the ops under a tool of compute-sanitizer's, each file in a process of its own: a file that takes too
// long takes no other with it.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { runBounded } = require('./gpu-process.cjs');

const JEST = 'node_modules/jest/bin/jest.js';
const ERROR_EXIT_CODE = 86;
const LARGEST_SHARE = 0.33; // of the time that is left, for one file
// The tool keeps a core busy; the device they may share, since nothing is measured.
const AT_ONCE = Math.max(1, Math.min(4, os.availableParallelism() >> 1));

// What it says of a device that it cannot watch. The second it says of any process that does not use the GPU, too.
const REFUSED = /Device not supported|Unable to find injection library/i;
const UNSEEN = /No attachable process found|terminated before first instrumented API call/i;

function findSanitizer() {
  const places = ['compute-sanitizer', '/usr/local/cuda/bin/compute-sanitizer'];
  return places.find((place) => spawnSync(place, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Errors that were counted, in all processes; undefined where it came to no sum. */
function countErrors(output) {
  const SUM = /ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: \d+ hazards? displayed \((\d+) error/g;
  const sums = [...output.matchAll(SUM)];
  if (sums.length === 0) return undefined;
  return sums.reduce((sum, [, errors, hazards]) => sum + Number(errors ?? hazards), 0);
}

function judge({ status, output, timedOut }) {
  const errors = countErrors(output);
  const refusal = REFUSED.exec(output) ?? (errors === undefined && UNSEEN.exec(output));
  if (refusal) return { verdict: 'refused', reason: refusal[0] };
  if (errors > 0 || status === ERROR_EXIT_CODE) return { verdict: 'with errors' };
  if (timedOut) return { verdict: 'out of time' };
  return { verdict: status === 0 && errors === 0 ? 'clean' : 'whose tests fail' };
}

async function sanitize(tool, { root, folder, limitMs }) {
  const program = findSanitizer();
  if (!program) return { failed: false, result: 'not run: there is no compute-sanitizer', details: [] };
  const until = performance.now() + limitMs;
  const files = fs.readdirSync(path.join(root, 'build/test/ops')).filter((file) => file.endsWith('.test.js'));
  const waiting = files.toSorted();
  const by = { clean: [], 'with errors': [], 'whose tests fail': [], 'out of time': [] };
  let refusal;

  const checkOne = async (file) => {
    const watch = [`--tool=${tool}`, '--target-processes=all', `--error-exitcode=${ERROR_EXIT_CODE}`];
    const pattern = `--testPathPatterns=test/ops/${file.replaceAll('.', '\\.')}$`;
    const args = [...watch, process.execPath, JEST, '--ci', '-i', '--testTimeout=600000', pattern];
    const ran = await runBounded(program, args, {
      cwd: root,
      env: { HEDDLE_DEVICE: 'cuda' },
      limitMs: LARGEST_SHARE * Math.max(0, until - performance.now()),
      log: path.join(folder, 'sanitizer.log'),
      isShown: false,
    });
    const { verdict, reason } = judge(ran);
    console.log(`${tool} ${file}: ${verdict}, ${ran.seconds.toFixed(0)} s`);
    if (verdict === 'refused') refusal = reason;
    else by[verdict].push(file);
  };
  const work = async () => {
    while (waiting.length > 0 && refusal === undefined) await checkOne(waiting.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));

  if (refusal) return { failed: false, result: `not run: compute-sanitizer says "${refusal}"`, details: [] };
  const { clean, ...rest } = by;
  const others = Object.entries(rest).filter(([, names]) => names.length > 0);
  const counts = others.map(([verdict, names]) => `, ${names.length} ${verdict}`);
  return {
    failed: by['with errors'].length + by['whose tests fail'].length > 0,
    result: `${clean.length} of ${files.length} files without errors${counts.join('')}`,
    details: others.map(([verdict, names]) => `${verdict}: ${names.join(', ')}`),
  };
}

module.exports = { sanitize };
