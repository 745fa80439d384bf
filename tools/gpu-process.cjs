'use strict';
// Programs that may take only so long, and the sharing of time among steps.

const { spawn } = require('node:child_process');
const fs = require('node:fs');

const KILL_AFTER_MS = 5_000; // of being asked to end
const groups = new Set();

/** Ends a program and all that it started. */
function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const pid of groups) signalGroup(pid, 'SIGKILL');
    process.exit(1);
  });
}

/**
 * Runs a program for at most `limitMs`. What it writes is appended to the file `log` and, if `isShown`, shown as it comes.
 *
 * @returns {Promise<{ status: number | null, output: string, seconds: number, timedOut: boolean }>} Status null: it was
 *   ended by a signal, or could not be started.
 */
function runBounded(command, args, { cwd, env = {}, limitMs, log, isShown = true }) {
  const began = performance.now();
  const title = `$ ${[command, ...args].join(' ')}\n`;
  // A group of its own: what it starts ends with it.
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, detached: true, stdio: 'pipe' });
  child.stdin.end();
  if (child.pid) groups.add(child.pid);
  const chunks = [];
  let timedOut = false;
  let killing;
  const limit = setTimeout(() => {
    timedOut = true;
    signalGroup(child.pid, 'SIGTERM');
    killing = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), KILL_AFTER_MS);
  }, limitMs);
  // Some run at once: what is not shown is written in one piece, at the end.
  if (isShown) fs.appendFileSync(log, title);
  const hear = (stream, show) =>
    stream.on('data', (chunk) => {
      chunks.push(chunk);
      if (!isShown) return;
      show.write(chunk);
      fs.appendFileSync(log, chunk);
    });
  hear(child.stdout, process.stdout);
  hear(child.stderr, process.stderr);
  return new Promise((resolve) => {
    const end = (status, problem = '') => {
      clearTimeout(limit);
      clearTimeout(killing);
      groups.delete(child.pid);
      const seconds = (performance.now() - began) / 1000;
      const output = Buffer.concat(chunks).toString() + problem;
      const last = timedOut ? `out of time after ${seconds.toFixed(0)} s\n` : problem && `${problem}\n`;
      fs.appendFileSync(log, isShown ? last : `${title}${output}${last}`);
      resolve({ status, output, seconds, timedOut });
    };
    child.once('error', (error) => end(null, error.message));
    child.once('close', (status) => end(status));
  });
}

/**
 * Shares time among steps by their weights. What a step leaves is shared by those after it.
 *
 * @returns {() => number} Milliseconds of the next step.
 */
function shareTime(totalMs, weights) {
  const until = performance.now() + totalMs;
  let next = 0;
  return () => {
    const rest = weights.slice(next++).reduce((sum, weight) => sum + weight, 0);
    return Math.max(0, until - performance.now()) * (weights[next - 1] / rest);
  };
}

module.exports = { runBounded, shareTime };
