'use strict';
// `npm run gpu`: on a host with a GPU, builds, then runs the tests, the built-in model, the benchmark, and the tests of
// the ops under compute-sanitizer. What it finds is written to a folder that can be committed.
//
// Usage: node tools/gpu.cjs [--built] [tests | start | bench | memcheck | racecheck | sanitizer]...
//   --built              as last built, or as it came in a bundle
//   HEDDLE_RESULTS       the folder of results; default bench/results/<device>-<date>
//   HEDDLE_GPU_SECONDS   how long the steps may take, the build not counted; default 520
//   HEDDLE_CUDA=simulator HEDDLE_BENCH=small   tries the scripts without a GPU, after npm run test:simulator

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { shareTime } = require('./gpu-process.cjs');
const { STEPS } = require('./gpu-steps.cjs');

const root = path.resolve(__dirname, '..');
const seconds = Number(process.env.HEDDLE_GPU_SECONDS || 520);

function fail(message) {
  console.error(`heddle: ${message}`);
  process.exit(1);
}

/** A program's output, or undefined. */
function outputOf(command, args) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function build() {
  for (const args of [['tools/setup.cjs', '--test'], ['tools/build-cuda.cjs']]) {
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
    if (status !== 0) process.exit(status ?? 1);
  }
}

/** What was built: git's commit, or what the bundle was told. */
function version() {
  const bundled = path.join(root, 'commit.txt');
  if (fs.existsSync(bundled)) return fs.readFileSync(bundled, 'utf8').trim();
  return outputOf('git', ['describe', '--always', '--dirty', '--abbrev=12']) ?? 'unknown';
}

/** The GPU, by a process of its own: none is held while the steps run. */
function findGpu() {
  const script = "console.log(JSON.stringify(require('./dist/index.js').devices()))";
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8' });
  if (status !== 0) fail(`the addon does not load:\n${stderr}`);
  const [, gpu] = JSON.parse(stdout);
  if (gpu.reason) fail(`there is no GPU to run on: ${gpu.reason}`);
  return gpu;
}

/** The summary, for people. */
function markdown(host, ran) {
  const lines = [`# ${host.device}, ${host.date}`, '', '| | |', '|---|---|'];
  for (const [key, value] of Object.entries(host)) lines.push(`| ${key} | ${value} |`);
  lines.push('', '| step | | seconds |', '|---|---|---:|');
  for (const { name, failed, result, tookSeconds } of ran) {
    lines.push(`| ${name} | ${failed ? '**failed**: ' : ''}${result} | ${tookSeconds.toFixed(0)} |`);
  }
  const details = ran.flatMap(({ name, details }) => details.map((line) => `- ${name}: ${line}`));
  if (details.length > 0) lines.push('', ...details);
  return `${lines.join('\n')}\n`;
}

async function main() {
  const args = process.argv.slice(2);
  const wanted = args.filter((arg) => arg !== '--built');
  const known = STEPS.flatMap(({ name, group }) => [name, group]);
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown) fail(`there is no step ${unknown}, but ${[...new Set(known.filter(Boolean))].join(', ')}`);
  if (!(seconds > 0)) fail(`HEDDLE_GPU_SECONDS must be a positive number but is ${process.env.HEDDLE_GPU_SECONDS}`);
  const steps = STEPS.filter(
    ({ name, group }) => wanted.length === 0 || wanted.includes(name) || wanted.includes(group),
  );

  if (!args.includes('--built')) build();
  const gpu = findGpu();
  const date = new Date().toISOString().slice(0, 10);
  const slug = gpu.name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const folder = path.resolve(process.env.HEDDLE_RESULTS || path.join(root, 'bench', 'results', `${slug}-${date}`));
  fs.mkdirSync(folder, { recursive: true });
  for (const log of fs.readdirSync(folder).filter((file) => file.endsWith('.log'))) fs.rmSync(path.join(folder, log));
  const driver = outputOf('nvidia-smi', ['--query-gpu=driver_version', '--format=csv,noheader'])?.split('\n')[0];
  const host = {
    device: gpu.name,
    'compute capability': gpu.computeCapability,
    memory: `${(gpu.memory / 2 ** 30).toFixed(0)} GiB`,
    driver: driver ?? 'unknown',
    CPU: `${os.cpus()[0]?.model}, ${os.availableParallelism()} threads`,
    node: process.version,
    commit: version(),
    date,
  };

  const share = shareTime(
    seconds * 1000,
    steps.map(({ weight }) => weight),
  );
  const ran = [];
  for (const { name, run } of steps) {
    console.log(`\n== ${name}`);
    const began = performance.now();
    const outcome = await run({ root, folder, limitMs: share() });
    ran.push({ name, ...outcome, tookSeconds: (performance.now() - began) / 1000 });
    // After every step: a host may be taken away.
    fs.writeFileSync(path.join(folder, 'summary.md'), markdown(host, ran));
  }
  console.log(`\n${markdown(host, ran)}\n${folder}`);
  process.exitCode = ran.some(({ failed }) => failed) ? 1 : 0;
}

void main();
