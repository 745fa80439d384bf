// Which machine figures are of, and where its results go.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import * as path from 'node:path';
import { devices } from 'heddle';

const FLAGS = [
  'avx2',
  'avx512f',
  'avx512_vnni',
  'avx_vnni',
  'avx512_bf16',
  'amx_bf16',
  'amx_int8',
  'asimddp',
  'bf16',
  'i8mm',
];

/** Instruction sets that matter here, where the system tells. */
function instructions() {
  const file = '/proc/cpuinfo';
  const line = existsSync(file) ? /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
  const all = new Set(line?.trim().split(' '));
  return FLAGS.filter((flag) => all.has(flag));
}

function commit() {
  try {
    const git = (...args) => execFileSync('git', args, { encoding: 'utf8', cwd: import.meta.dirname, stdio: 'pipe' });
    return (
      git('rev-parse', '--short', 'HEAD').trim() +
      (git('status', '--porcelain', '--', '../lib', '../native') ? ' and changes' : '')
    );
  } catch {
    return undefined; // no clone
  }
}

export function describeMachine() {
  const [{ instructionSet }] = devices();
  return {
    cpu: cpus()[0]?.model.trim() ?? process.arch,
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    instructions: instructions(),
    heddle: instructionSet,
    system: `${process.platform} ${process.arch}, Node ${process.versions.node}`,
    load: Math.round(loadavg()[0] * 10) / 10, // of others, before anything ran
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
  };
}

/** bench/results/<cpu>-<date>, as results of GPUs lie there. */
export function resultsFolder({ cpu, date }) {
  const slug = cpu
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return path.join(import.meta.dirname, 'results', `${slug}-${date}`);
}
