import { spawnSync } from 'node:child_process';
import path from 'node:path';

/** How a child process ended, and what it wrote. */
export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

const root = path.resolve('.');

function run(args: string[], env: Record<string, string>, timeoutMs: number): Ended {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    maxBuffer: 2 ** 26,
  });
  return { status, signal, stdout, stderr };
}

export interface ChildOptions {
  env?: Record<string, string>;
  /** Of node. */
  flags?: readonly string[];
  timeoutMs?: number;
  /** Of the module. */
  args?: readonly string[];
}

/** Runs a script with `heddle` in scope (top-level await works) in a process of its own. */
export function runScript(script: string, { env = {}, flags = [], timeoutMs = 20_000 }: ChildOptions = {}): Ended {
  const main = JSON.stringify(path.join(root, 'dist/index.js'));
  const source = `import { createRequire } from 'node:module';
const require = createRequire(${JSON.stringify(path.join(root, 'package.json'))});
const heddle = require(${main});
${script}`;
  return run([...flags, '--input-type=module', '--eval', source], env, timeoutMs);
}

/** Runs a compiled module of test/support in a process of its own. */
export function runModule(
  name: string,
  { env = {}, flags = [], timeoutMs = 60_000, args = [] }: ChildOptions = {},
): Ended {
  return run([...flags, path.join(root, 'build/test/support', `${name}.js`), ...args], env, timeoutMs);
}
