// npm run bench:peers: heddle beside onnxruntime-node, transformers.js, llama.cpp and PyTorch, in turns, on the same shapes
// with random weights. Installs the first three into bench/peers/. npm run bench:peers -- --help tells the options.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { readOptions, runBenchmark } from './command.mjs';
import { rows } from './peer-rows.mjs';
import { peersTable } from './report.mjs';

const PEERS = path.join(import.meta.dirname, 'peers');
const METHOD = `Engines in processes of their own take turns, so that they see the same machine. Figures are processor time on one thread, its
best decile, which other work on the machine disturbs least; on more, the best decile of time. "peer ÷ heddle" above 1:
heddle is so many times as fast. Weights are random, and each engine has its own. Of onnxruntime's forms of attention,
which are of float32, the best one is shown.`;

const BIG = '1.1B';

const engine = (name) => path.join(PEERS, `${name}.mjs`);
const { dependencies } = JSON.parse(readFileSync(path.join(PEERS, 'package.json'), 'utf8'));

function isInstalled([name, version]) {
  const file = path.join(PEERS, 'node_modules', name, 'package.json');
  return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).version === version;
}

/** Without scripts of packages, which would fetch binaries from elsewhere: those that they bring along are enough. */
function install() {
  if (Object.entries(dependencies).every(isInstalled)) return undefined;
  process.stderr.write('installing the peers into bench/peers/ …\n');
  const args = ['install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const options = { cwd: PEERS, env, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' };
  const { status } = spawnSync('npm', args, options);
  return status === 0 ? undefined : 'npm could not install it';
}

/** The Python that has PyTorch: HEDDLE_PYTHON, or the first of the usual ones. */
function findTorch() {
  const script = path.join(PEERS, 'torch_engine.py');
  for (const python of [process.env.HEDDLE_PYTHON, 'python3', '/usr/bin/python3'].filter(Boolean)) {
    const { status, stdout } = spawnSync(python, [script, '--probe'], { encoding: 'utf8' });
    if (status === 0) return { command: python, args: [script], version: stdout.trim() };
  }
  return { reason: 'not installed' };
}

const options = readOptions('npm run bench:peers --', 'measures heddle beside its peers', (command) =>
  command.option('--big', `rows of ${BIG} parameters, too, which need 4 GB of disk; so does --filter ${BIG}`),
);
const wanted = rows.filter(({ isBig }) => !isBig || options.big || options.filter?.some((text) => text.includes(BIG)));

const reason = options.list ? undefined : install();
const ofNpm = (name) => (reason ? { reason } : { module: engine(name) });
const torch = options.list ? { reason: 'not asked' } : findTorch();
const versions = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);
await runBenchmark({
  name: 'peers',
  rows: options.list ? rows : wanted,
  engines: {
    heddle: { module: path.join(import.meta.dirname, 'heddle.mjs') },
    ceilings: { module: path.join(import.meta.dirname, 'ceilings.mjs') },
    onnxruntime: ofNpm('onnxruntime'),
    transformers: ofNpm('transformers'),
    llamaCpp: ofNpm('llama-cpp'),
    torch,
  },
  options,
  method: `${METHOD}\nPeers: ${[...versions, `PyTorch ${torch.version ?? torch.reason}`].join(', ')}.`,
  tableOf: (run, older) => peersTable(run.rows, older),
});
