'use strict';
// `npm run test:package`: packs the package, installs it as a user would, and uses it there.
//
// Usage: node tools/test-package.cjs [--short]
//   Uses prebuilds/ (npm run prebuild), and Node 20, 22, 24 and 26 from npm.
//   --short  the clone's own binary in their place, this Node only, and nothing compiled

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Sandbox } = require('./package-sandbox.cjs');

const root = path.resolve(__dirname, '..');
const short = process.argv.includes('--short');
const NODES = [20, 22, 24, 26];
const LIMITS = { unpackedBytes: 14e6, loadMs: 40 };
const ROUNDS = 15;

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
let failures = 0;

/** One line a check; what went wrong below it. */
async function check(title, body) {
  try {
    const detail = await body();
    console.log(`ok    ${title}${detail ? `: ${detail}` : ''}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${title}\n${error.message.trimEnd().replace(/^/gm, '      ')}`);
  }
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** { packed: what npm says of the tarball, tarball } */
function pack(box) {
  const [packed] = JSON.parse(
    box.npm(['pack', '--json', '--silent', '--pack-destination', box.folder], { cwd: root, env: process.env }),
  );
  return { packed, tarball: path.join(box.folder, packed.filename) };
}

function checkContents({ files, unpackedSize }) {
  const names = files.map((file) => file.path);
  const stray = names.filter((name) => /^(test|lib|bench|build)\/|\.(log|o|map)$|-simulator/.test(name));
  expect(stray.length === 0, `not for users: ${stray.join(', ')}`);
  const size = (unpackedSize / 1e6).toFixed(2);
  expect(unpackedSize <= LIMITS.unpackedBytes, `${size} MB unpacked`);
  const folders = new Set(names.filter((name) => name.startsWith('prebuilds/')).map((name) => name.split('/')[1]));
  const binaries = short ? [] : [`prebuilt for ${[...folders].join(', ') || 'nothing'}`];
  return [`${names.length} files`, `${size} MB unpacked`, ...binaries].join(', ');
}

/** --short: what was just compiled instead of what prebuilds/ had. */
function useOwnBinary(box) {
  fs.rmSync(path.join(box.installed, 'prebuilds'), { recursive: true, force: true });
  const folder = path.join(box.installed, 'prebuilds', `${process.platform}-${process.arch}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(path.join(root, 'build', 'Release', 'heddle.node'), path.join(folder, 'heddle.node'));
}

/** Compiles the typed programs with both settings of TypeScript; returns all that can be run. */
function compilePrograms(box) {
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  for (const setting of ['node16', 'nodenext']) {
    const options = ['--module', setting, '--outDir', setting, '--types', 'node'];
    const language = ['--target', 'es2022', '--lib', 'es2023,esnext.disposable', '--strict'];
    box.run(process.execPath, [tsc, ...options, ...language, 'typed-module.mts', 'typed-commonjs.cts']);
  }
}

const PROGRAMS = {
  ESM: 'generate.mjs',
  CommonJS: 'generate.cjs',
  'TypeScript node16, ESM': 'node16/typed-module.mjs',
  'TypeScript node16, CommonJS': 'node16/typed-commonjs.cjs',
  'TypeScript nodenext, ESM': 'nodenext/typed-module.mjs',
  'TypeScript nodenext, CommonJS': 'nodenext/typed-commonjs.cjs',
};

/**
 * Milliseconds over bare Node, by the wall clock, which is what a user waits; a busy machine stretches it, so processor
 * time and the quietest round are told beside it. --short tells and does not judge.
 */
function measureLoad(box, node) {
  // Files, not -e: that one brings modules along which bare Node does not load.
  const program = (name, source) => {
    const file = path.join(box.project, name);
    const tell = 'const { user, system } = process.cpuUsage(); process.stdout.write(String(user + system));';
    fs.writeFileSync(file, `${source}${tell}`);
    return () => {
      const began = performance.now();
      const cpu = Number(box.run(node, [file])) / 1000;
      return { wall: performance.now() - began, cpu };
    };
  };
  const [bare, loaded] = [program('bare.cjs', ''), program('loaded.cjs', "require('heddle'); ")];
  const rounds = Array.from({ length: ROUNDS }, () => [bare(), loaded()]);
  const over = (what) => median(rounds.map(([without, within]) => within[what] - without[what]));
  const least = (i) => Math.min(...rounds.map((round) => round[i].wall));
  const told =
    `${over('wall').toFixed(1)} ms (median of ${ROUNDS}; processor time ${over('cpu').toFixed(1)} ms, ` +
    `quietest ${(least(1) - least(0)).toFixed(1)} ms, load ${os.loadavg()[0].toFixed(1)} on ${os.cpus().length} cores)`;
  expect(short || over('wall') <= LIMITS.loadMs, `${told}; at most ${LIMITS.loadMs} ms`);
  return told;
}

/** What a user meets where nothing prebuilt fits, and how they get out of it. */
async function checkMissingBinary(box, text) {
  fs.rmSync(path.join(box.installed, 'prebuilds'), { recursive: true });
  const cli = path.join(box.installed, 'dist', 'cli', 'main.js');
  await check('without a binary the error says how to build one', () => {
    const said = box.fails(process.execPath, ['generate.cjs']);
    expect(said.includes('npx heddle build') && /CMake and a C\+\+17 compiler/.test(said), said);
  });
  await check('heddle build says what it lacks', () => {
    const said = box.fails(process.execPath, [cli, 'build']);
    // On Windows it is CMake that finds a compiler, or says that there is none.
    const missing =
      process.platform === 'win32' ? /needs CMake .*which/ : /needs CMake .* and a C\+\+17 compiler, which/;
    expect(missing.test(said) && said.includes('could not be found'), said);
  });
  if (short) return;
  await check('heddle build makes one from the package', () => {
    const began = performance.now();
    box.run(process.execPath, [cli, 'build'], { env: process.env });
    expect(box.run(process.execPath, ['generate.cjs']) === text, 'another text than that of the prebuilt binary');
    return `${((performance.now() - began) / 1000).toFixed(0)} s`;
  });
}

async function main() {
  const box = new Sandbox(fs.mkdtempSync(path.join(os.tmpdir(), 'heddle-package-')));
  try {
    const { packed, tarball } = pack(box);
    const bin = (name) => path.join(root, 'node_modules', ...name.split('/'));
    await check('contents', () => checkContents(packed));
    await check(
      'publint',
      () => void box.run(process.execPath, [bin('publint/src/cli.js'), 'run', tarball, '--strict']),
    );
    await check('arethetypeswrong', () => {
      box.run(process.execPath, [bin('@arethetypeswrong/cli/dist/index.js'), tarball, '--no-emoji']);
    });

    await check('npm install --ignore-scripts, no compiler on PATH', () => {
      const types = require('../package.json').devDependencies['@types/node'];
      box.install([tarball, `@types/node@${types}`]);
      box.npm(['ls', '--all']);
      const { packages } = JSON.parse(fs.readFileSync(path.join(box.project, 'package-lock.json'), 'utf8'));
      const scripted = Object.keys(packages).filter((name) => packages[name].hasInstallScript);
      expect(scripted.length === 0, `install scripts in ${scripted.join(', ')}`);
      if (short) useOwnBinary(box);
    });
    fs.cpSync(path.join(root, 'test', 'package'), box.project, { recursive: true });
    await check('TypeScript compiles', () => compilePrograms(box));

    const nodes = short ? [process.execPath] : box.nodes(path.join(root, 'build', 'nodes'), NODES);
    const before = box.listing();
    let text = '';
    for (const node of nodes) {
      const version = box.run(node, ['--version']).trim();
      await check(`generates on Node ${version}`, () => {
        for (const [kind, file] of Object.entries(PROGRAMS)) {
          const written = box.run(node, [file]);
          text ||= written;
          expect(written !== '' && written === text, `${kind}: ${JSON.stringify(written)}`);
        }
        return Object.keys(PROGRAMS).join('; ');
      });
    }
    await check('the command line generates', () => {
      const cli = path.join(box.installed, 'dist', 'cli', 'main.js');
      const flags = ['--device', 'cpu', '--greedy', '-n', '32'];
      const written = box.run(process.execPath, [cli, 'generate', 'builtin:shakespeare', 'To be, or', ...flags]);
      expect(written === `${text}\n`, written);
    });
    await check('nothing was written', () => {
      const after = box.listing();
      const changed = [...new Set([...before, ...after])].filter((file) => !before.has(file) || !after.has(file));
      expect(changed.length === 0, changed.join('\n'));
    });
    for (const node of nodes) {
      await check(`loads on Node ${box.run(node, ['--version']).trim()}`, () => measureLoad(box, node));
    }
    await checkMissingBinary(box, text);
  } finally {
    fs.rmSync(box.folder, { recursive: true, force: true });
  }
  console.log(failures === 0 ? 'the package is as it should be' : `${failures} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`heddle: ${error.message}`);
  process.exitCode = 1;
});
