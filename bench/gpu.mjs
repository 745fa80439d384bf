// node bench/gpu.mjs: attention, layer norm, linear and a small model in bfloat16 on the GPU, beside PyTorch where
// python3 has it. Writes bench.json and bench.md.
//
//   --seconds <n>          how long it may take; default 200
//   --out <folder>         default bench/results
//   HEDDLE_PYTHON          the Python to ask for PyTorch; default python3
//   HEDDLE_BENCH=small     tiny shapes, to try the script on a simulated device
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { devices, setDefaultDevice } from 'heddle';
import { measureRows, OUT_OF_TIME } from './gpu-measure.mjs';
import { rows, settings } from './gpu-shapes.mjs';
import { findRoof, markdown } from './gpu-table.mjs';

const METHOD = `Medians of three to five rounds of many calls. heddle: calls queued from JavaScript between two \`sync()\`, by the host's
clock, so that a call costs at least what the host needs to queue and launch it, and a round one wait. PyTorch: the same
numbers of calls from Python between two CUDA events. Inputs that caches could hold are taken from several sets in turn.
Causal attention counts half a square of multiplications, other masks the pairs that they keep.`;

const OF_HEDDLE = 0.45; // of the time; compiling makes the peers slow to start
const python = process.env.HEDDLE_PYTHON || 'python3';
const peers = path.join(import.meta.dirname, 'gpu_peers.py');

/** PyTorch's version, or why there is none. */
function findTorch() {
  const { status, stdout, stderr, error } = spawnSync(python, [peers, '--probe'], { encoding: 'utf8' });
  if (status === 0) return { torch: stdout.trim().split('\n').at(-1) };
  return { reason: error ? `${python} does not run` : stderr.trim().split('\n').at(-1) };
}

/** Adds what PyTorch needs for the same rows; it answers a line at a time, and what there was time for counts. */
async function measurePeers(asked, seconds) {
  const child = spawn(python, [peers, '--seconds', String(seconds)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const limit = setTimeout(() => child.kill('SIGKILL'), (seconds + 15) * 1000);
  child.stdin.end(JSON.stringify(asked));
  const byId = new Map(asked.map((row) => [row.id, row]));
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) continue; // what compilers say
    const { id, peer, ...result } = JSON.parse(line);
    byId.get(id).peers[peer] = result;
    console.log(`${id}: ${peer} ${result.error ?? `${result.us.toFixed(1)} us`}`);
  }
  clearTimeout(limit);
}

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '200' }, out: { type: 'string', default: 'bench/results' } },
});
const until = performance.now() + 1000 * Number(options.seconds);

setDefaultDevice('cuda');
const [, gpu] = devices();
const { torch, reason } = findTorch();
const share = torch ? OF_HEDDLE : 0.95;
const results = rows.map((row) => ({ ...row, heddle: undefined, peers: {} }));
const save = () => {
  const result = {
    device: gpu.name,
    date: new Date().toISOString().slice(0, 10),
    torch: torch ?? `none (${reason})`,
    method: settings.isSmall ? 'Tiny shapes, to try the script: nothing was measured.' : METHOD,
    roof: settings.isSmall ? undefined : findRoof(results, gpu.name),
    rows: results,
  };
  mkdirSync(options.out, { recursive: true });
  writeFileSync(path.join(options.out, 'bench.json'), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(path.join(options.out, 'bench.md'), markdown(result));
};

const heddleUntil = performance.now() + share * (until - performance.now());
for await (const [row, measured] of measureRows(results, heddleUntil)) {
  row.heddle = measured;
  console.log(`${row.id}: heddle ${measured.error ?? `${measured.us.toFixed(1)} us`}`);
}
save();
if (torch) {
  await measurePeers(results, Math.max(1, Math.floor((until - performance.now()) / 1000)));
  save();
}
const [late, failed] = [true, false].map(
  (isLate) => results.filter(({ heddle }) => heddle.error && (heddle.error === OUT_OF_TIME) === isLate).length,
);
const told = `${results.length} rows, ${failed} failed, ${late} not measured for want of time`;
console.log(`${told}; peers: ${torch ?? `none (${reason})`}`);
if (failed > 0) process.exitCode = 1;
