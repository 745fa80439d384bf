import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { loadModel } from '#lib/index';

function heddle(args: string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.resolve('dist/cli/main.js'), ...args], {
    input,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}
const json = (args: string[], input?: string) => {
  const { stdout, ...rest } = heddle([...args, '--json'], input);
  expect(rest).toEqual({ status: 0, stderr: '' });
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  return JSON.parse(stdout) as Record<string, unknown>;
};

const model = 'builtin:shakespeare';

test('generate writes what the library gives, from words and from standard input', async () => {
  await using loaded = await loadModel(model);
  const { text, tokens } = await loaded.generate('To be', { maxNewTokens: 12, seed: 3, temperature: 0.8, topK: 20 });
  const flags = ['-n', '12', '--seed', '3', '-t', '0.8', '--top-k', '20'];
  expect(heddle(['generate', model, 'To', 'be', ...flags])).toEqual({ status: 0, stdout: `${text}\n`, stderr: '' });
  const told = json(['generate', model, ...flags], 'To be');
  expect(told).toEqual({ prompt: 'To be', text, tokens, finishReason: 'length' });
});

test('generate ends before a stop text', () => {
  const { stdout } = heddle(['generate', model, 'To be', '--greedy', '-n', '40', '--stop', ' ', '--']);
  expect(stdout).not.toContain(' ');
});

test('score and info tell what the library tells', async () => {
  await using loaded = await loadModel(model);
  const text = 'To be, or not to be';
  expect(json(['score', model, text])).toEqual(await loaded.score(text));
  expect(heddle(['score', model], text).stdout).toMatch(/tokens +19\n[^]*perplexity +\d+\.\d+\n/);
  const info = loaded.info({ length: 100, batch: 2, memory: 2 ** 30 });
  expect(json(['info', model, '--length', '100', '--batch', '2', '--memory', '1G'])).toEqual(info);
  expect(heddle(['info', model]).stdout).toMatch(/parameters +1\.21 M\n/);
});

test('beams', async () => {
  await using loaded = await loadModel(model);
  const { text } = await loaded.generate('To be', { maxNewTokens: 12, numBeams: 3, doSample: false });
  const flags = ['-n', '12', '--num-beams', '3', '--greedy'];
  expect(heddle(['generate', model, 'To', 'be', ...flags]).stdout).toBe(`${text}\n`);
});

test('devices and bench', () => {
  const { stdout } = heddle(['devices', '--json']);
  expect((JSON.parse(stdout) as { device: string }[])[0]).toMatchObject({ device: 'cpu' });
  const bench = json([
    'bench',
    model,
    '--prompt-tokens',
    '9',
    '--new-tokens',
    '5',
    '--batch',
    '2',
    '--dtype',
    'float16',
  ]);
  expect(bench).toMatchObject({ dtype: 'float16', promptTokens: 9, newTokens: 5, batch: 2 });
  for (const speed of Object.values(bench.tokensPerSecond as object)) expect(speed).toBeGreaterThan(0);
});

test.each<[args: string[], status: number, message: RegExp]>([
  [['--help'], 0, /^$/],
  [['generate', '--help'], 0, /^$/],
  [['--version'], 0, /^$/],
  [['generate'], 2, /missing required argument 'model'/],
  [['weave'], 2, /unknown command 'weave'/],
  [['info', model, '--depth'], 2, /unknown option '--depth'/],
  [['generate', model, 'x', '-n', 'many'], 2, /It must be a whole number/],
  [['info', model, '--memory', '8X'], 2, /It must be bytes/],
  [['info', 'nowhere'], 1, /^heddle: \[loadModel\] nowhere.config.json does not exist/],
  [['generate', model, 'x', '-t', '0'], 1, /^heddle: \[Model.stream\] temperature/],
  [['generate', model, 'x', '--device', 'tpu'], 1, /^heddle: \[loadModel\] device must be/],
])('%j ends with %i', (args, status, message) => {
  const ended = heddle(args);
  expect(ended.stderr).toMatch(message);
  expect(ended.status).toBe(status);
});

test('help has examples', () => {
  for (const command of ['generate', 'bench', 'info', 'devices', 'score']) {
    expect(heddle([command, '--help']).stdout).toMatch(/Examples?:\n {2}\$ heddle /);
  }
});
