// Do the simulator's tests bite? Each row takes one wait, one barrier or one bounds test out of a scratch copy of a
// kernel's source; the tests named must then fail. What the simulator cannot tell is not here: a barrier of a warp, say,
// between a copy and a product that all its lanes take part in.
//
// Usage: node test/native/simt/mutations.cjs [build tree] [--minutes <count>]
//   --minutes  as many as are begun in that time, drawn anew each day; else all
'use strict';

const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { availableParallelism, tmpdir } = require('node:os');
const { basename, dirname, join, resolve } = require('node:path');
const { parseArgs } = require('node:util');
const mutations = require('./mutation-rows.cjs');

const root = resolve(__dirname, '../../..');
const { values: flags, positionals } = parseArgs({ options: { minutes: { type: 'string' } }, allowPositionals: true });
const build = resolve(positionals[0] ?? join(root, 'build/simt'));
const end = flags.minutes === undefined ? Infinity : Date.now() + Number(flags.minutes) * 60_000;
const SECONDS = 120; // of a run: one that hangs bites too

const commands = JSON.parse(readFileSync(join(build, 'compile_commands.json'), 'utf8'));
// The tests, not the library that the simulator makes a device of: both are made of the same sources.
const objects = commands.filter((c) => c.command.includes('heddle_simt_test.dir'));
const objectOf = (command) => join(command.directory, / -o (\S+)/.exec(command.command)[1]);

/** Runs a program; its exit status, null if it took too long. */
const run = (program, args, options) =>
  new Promise((done, failed) => {
    const child = spawn(program, args, { timeout: SECONDS * 1000, ...options });
    child.on('error', failed);
    child.on('close', done);
  });

async function buildStep(program, args, options) {
  if ((await run(program, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options })) !== 0) {
    throw new Error(`${program} ${args.join(' ')}`);
  }
}

/** Compiles the mutated source and links it with the other objects; runs the tests. Whether they fail. */
async function bites(scratch, [file, find, replacement, source, tests]) {
  const text = readFileSync(join(root, 'native/cuda', file), 'utf8');
  if (text.split(find).length !== 2) throw new Error(`${file} must have once: ${find}`);
  const copy = join(scratch, 'native/cuda', file);
  mkdirSync(dirname(copy), { recursive: true });
  writeFileSync(
    copy,
    text.replace(find, () => replacement),
  );

  const own = objects.find((c) => basename(c.file) === source);
  const object = join(scratch, 'mutant.o');
  const input = file === source ? copy : own.file;
  const command = own.command
    .replace(/ -o \S+/, ` -w -o ${object} -I${join(scratch, 'native')}`)
    .replace(/-I(?=\S*native )/, `-I${join(scratch, 'native')} -I`)
    .replace(/ -c \S+$/, ` -c ${input}`);
  await buildStep('sh', ['-c', command], { cwd: own.directory });
  const program = join(scratch, 'mutant');
  const sanitize = /-fsanitize=\S+/.exec(command)?.[0] ?? '-g';
  // First: of an inline function that several objects have, the linker keeps the copy that it meets first.
  const linked = [object, ...objects.filter((c) => c !== own).map(objectOf)];
  await buildStep('c++', [sanitize, '-o', program, ...linked]);
  return (await run(program, ['--stop', ...tests.split(' ')], { stdio: 'ignore' })) !== 0;
}

/** In an order of the day's own. */
function shuffled(rows) {
  const day = new Date().toISOString().slice(0, 10);
  const place = new Map(rows.map((row, i) => [row, createHash('sha256').update(`${day} ${i}`).digest('hex')]));
  return [...rows].sort((a, b) => (place.get(a) < place.get(b) ? -1 : 1));
}

let survivors = 0;
const waiting = end === Infinity ? [...mutations] : shuffled(mutations);
async function work() {
  for (let mutation; Date.now() < end && (mutation = waiting.shift());) {
    const scratch = mkdtempSync(join(tmpdir(), 'heddle-mutation-'));
    try {
      if (await bites(scratch, mutation)) continue;
      survivors += 1;
      console.log(`survives: ${mutation[0]} without ${JSON.stringify(mutation[1])}`);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
}
void Promise.all(Array.from({ length: availableParallelism() }, work)).then(() => {
  const left = waiting.length > 0 ? `, ${waiting.length} for another day` : '';
  console.log(`${mutations.length - waiting.length - survivors} bite, ${survivors} survive${left}`);
  process.exitCode = survivors > 0 ? 1 : 0;
});
