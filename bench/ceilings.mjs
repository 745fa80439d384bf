// What the machine can do at most, by bench/ceilings.cc, which is compiled where it runs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import * as path from 'node:path';

const SOURCE = path.join(import.meta.dirname, 'ceilings.cc');
const PROGRAM = path.join(import.meta.dirname, '../build/bench/ceilings');
// Multiply-adds of vectors are to become one instruction each.
const FLAGS = ['-O3', '-std=c++17', '-ffp-contract=fast', '-pthread'];

const mtimeMs = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Compiles the program if it is not there yet. @returns why there is none, if so. */
export function buildCeilings() {
  if (mtimeMs(PROGRAM) > mtimeMs(SOURCE)) return undefined;
  const compiler = process.env.CXX || 'c++';
  mkdirSync(path.dirname(PROGRAM), { recursive: true });
  const { status, error, stderr } = spawnSync(compiler, [...FLAGS, SOURCE, '-o', PROGRAM], { encoding: 'utf8' });
  if (error) return `no ceilings: ${compiler} does not run`;
  return status === 0 ? undefined : `no ceilings: ${compiler} cannot compile them: ${stderr.trim().split('\n')[0]}`;
}

/** @returns { name, threads, unit, best, median } of each measurement. */
export function measureCeilings(...args) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, args.map(String), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ceilings: ${stderr.trim() || `exit status ${status}`}`);
  const lines = stdout.trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

// What computes most, by what is computed.
const PREFERRED = {
  float32: ['fma-float32'],
  bfloat16: ['tile-bfloat16', 'dot-bfloat16', 'fma-float32'],
  float16: ['fma-float32'],
  int8: ['tile-int8', 'dot-int8'],
  memory: ['read'],
  copy: ['copy'],
};

/** The ceiling of `kind`, a key of PREFERRED, in 10⁹ a second; undefined if it was not measured. */
export function ceilingOf(ceilings, kind, threads) {
  const ofThreads = ceilings.filter((one) => one.threads === threads);
  const names = PREFERRED[kind] ?? [];
  return names.map((wanted) => ofThreads.find(({ name }) => name === wanted)).find(Boolean)?.best;
}

/** As an engine of bench/child.mjs: reads a buffer of `bytes`, round and round. */
export function open({ bytes, threads }) {
  const reason = buildCeilings();
  if (reason) throw new Error(reason);
  return {
    run() {
      const [{ best }] = measureCeilings('read', threads, bytes);
      const ms = bytes / best / 1e6;
      return { ms, cpuMs: threads * ms };
    },
  };
}
