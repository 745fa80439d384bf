// What ptxas makes of every CUDA kernel: registers, spills, stack, shared memory and code size, for
// sm_80 and sm_90a. Compares with native/cuda/resources.json, and fails where a kernel spills, or ptxas warns, and the
// table does not allow it, or where registers, stack or shared memory grew.
//
// Usage: node tools/cuda-report.cjs [--write] [--markdown <file>]
//   --write     makes what was found the new table; what it allows stays
//   --markdown  writes the table for people
'use strict';

const { execFile } = require('node:child_process');
const { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs');
const { availableParallelism, tmpdir } = require('node:os');
const { join, resolve } = require('node:path');
const { promisify } = require('node:util');

const root = resolve(__dirname, '..');
const tablePath = join(root, 'native/cuda/resources.json');
const ARCHITECTURES = { sm_80: 'arch=compute_80,code=sm_80', sm_90a: 'arch=compute_90a,code=sm_90a' };
const NVCC_FLAGS = ['-std=c++17', '-fmad=false', '-Xptxas', '-v', '-cubin'];
// ptxas says so where it must wait for asynchronous matrix products one by one.
const WARNING = /serializ|\bwarning\b/i;
// May differ a little between releases of ptxas.
const REGISTER_SLACK = 8;

/** What a program prints; where it fails, its error has that in its message. */
const run = async (program, args) => {
  const { stdout, stderr } = await promisify(execFile)(program, args, { cwd: root, maxBuffer: Infinity });
  return stdout + stderr;
};

/** `void heddle::cuda::(anonymous namespace)::attend<8, 64>(Problem)` → `attend<8, 64>` */
const shorten = (name) =>
  name.replace(/^void |\(anonymous namespace\)::|heddle::cuda::|\((?:int|bool)\)/g, '').replace(/\([^()]*\)$/, '');
const demangle = async (names) => (names.length ? (await run('c++filt', names)).trim().split('\n').map(shorten) : []);

/** The kernels of one source, [name, { registers, … }] each, and what ptxas warned of. */
async function measure(source, architecture, scratch) {
  const cubin = join(scratch, `${source}.${architecture}.cubin`);
  const file = join('native/cuda', source);
  const output = await run('nvcc', [
    ...NVCC_FLAGS,
    '-Inative',
    `-gencode=${ARCHITECTURES[architecture]}`,
    file,
    '-o',
    cubin,
  ]);
  const number = (text, pattern) => Number(pattern.exec(text)?.[1] ?? 0);
  const sizes = new Map(
    [...(await run('readelf', ['-SW', cubin])).matchAll(/ \.text\.(\S+)\s+PROGBITS\s+\S+ \S+ ([0-9a-f]+)/g)].map(
      ([, name, size]) => [name, parseInt(size, 16)],
    ),
  );
  const parts = output.split(/Compiling entry function '/).slice(1);
  const mangled = parts.map((part) => part.slice(0, part.indexOf("'")));
  const names = await demangle(mangled);
  const kernels = parts.map((part, i) => [
    names[i],
    {
      registers: number(part, /Used (\d+) registers/),
      spillBytes: number(part, /(\d+) bytes spill stores/) + number(part, /(\d+) bytes spill loads/),
      stackBytes: number(part, /(\d+) bytes stack frame/),
      sharedBytes: number(part, /(\d+) bytes smem/),
      codeBytes: sizes.get(mangled[i]) ?? 0,
    },
  ]);
  return { kernels, warnings: output.split('\n').filter((line) => WARNING.test(line)) };
}

/** What is worse than the table allows. */
function complaints(found, table) {
  const wrong = [];
  for (const [kernel, byArchitecture] of Object.entries(found.kernels)) {
    for (const [architecture, now] of Object.entries(byArchitecture)) {
      const where = `${kernel} on ${architecture}`;
      if (now.spillBytes > (table.allowedSpillBytes?.[kernel]?.[architecture] ?? 0)) {
        wrong.push(`${where} spills ${now.spillBytes} bytes`);
      }
      const before = table.kernels?.[kernel]?.[architecture];
      if (!before) {
        wrong.push(`${where} is not in the table`);
        continue;
      }
      if (now.registers > before.registers + REGISTER_SLACK) {
        wrong.push(`${where} uses ${now.registers} registers, ${before.registers} before`);
      }
      for (const what of ['stackBytes', 'sharedBytes']) {
        if (now[what] > before[what]) wrong.push(`${where}: ${what} is ${now[what]}, ${before[what]} before`);
      }
    }
  }
  for (const kernel of Object.keys(table.kernels ?? {})) {
    if (!found.kernels[kernel]) wrong.push(`${kernel} is in the table but not in the sources`);
  }
  const allowed = table.allowedWarnings ?? [];
  return [...wrong, ...found.warnings.filter((line) => !allowed.some((text) => line.includes(text)))];
}

function markdown(found) {
  const lines = ['| kernel | | registers | spills | stack | shared | code |', '|---|---|---:|---:|---:|---:|---:|'];
  for (const [kernel, byArchitecture] of Object.entries(found.kernels)) {
    for (const [architecture, k] of Object.entries(byArchitecture)) {
      const numbers = [k.registers, k.spillBytes, k.stackBytes, k.sharedBytes, k.codeBytes];
      lines.push(`| \`${kernel}\` | ${architecture} | ${numbers.join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The kernels of all sources, by name and architecture, and all warnings. As many compilers as there are cores. */
async function measureAll() {
  const scratch = mkdtempSync(join(tmpdir(), 'heddle-cuda-'));
  const sources = readdirSync(join(root, 'native/cuda')).filter((name) => name.endsWith('.cu'));
  const wanted = sources.sort().flatMap((source) => Object.keys(ARCHITECTURES).map((name) => [source, name]));
  const measured = [];
  const waiting = wanted.entries();
  const work = async () => {
    for (const [i, [source, architecture]] of waiting) measured[i] = await measure(source, architecture, scratch);
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, work));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const all = { kernels: {}, warnings: measured.flatMap(({ warnings }) => warnings) };
  for (const [i, [source, architecture]] of wanted.entries()) {
    for (const [name, resources] of measured[i].kernels) {
      all.kernels[`${source.replace('.cu', '')}: ${name}`] ??= {};
      all.kernels[`${source.replace('.cu', '')}: ${name}`][architecture] = resources;
    }
  }
  return all;
}

/** Compares with the table, or makes a new one. */
async function main() {
  const found = await measureAll();
  const table = existsSync(tablePath) ? JSON.parse(readFileSync(tablePath, 'utf8')) : {};
  const { allowedSpillBytes = {}, allowedWarnings = [] } = table;
  const isWrite = process.argv.includes('--write');
  if (isWrite) {
    const next = { allowedSpillBytes, allowedWarnings, kernels: found.kernels };
    writeFileSync(tablePath, `${JSON.stringify(next, null, 2)}\n`);
  }
  const markdownAt = process.argv.indexOf('--markdown');
  if (markdownAt > 0) writeFileSync(process.argv[markdownAt + 1], markdown(found));

  const wrong = complaints(found, isWrite ? { ...table, kernels: found.kernels } : table);
  for (const line of wrong) console.error(line);
  console.log(`${Object.keys(found.kernels).length} kernels, ${wrong.length} complaints`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

void main();
