import { defaultDevice } from '#lib/index';
import { runModule, runScript } from '../support/child';

const LEVELS = process.arch === 'arm64' ? ['generic', 'neon'] : ['generic', 'avx2', 'avx512', 'amx'];

const best = LEVELS.indexOf(
  runScript('console.log(heddle.devices()[0].instructionSet)', { env: { HEDDLE_CPU: '' } }).stdout.trim(),
);

test('this machine has a level that is known', () => {
  expect(best).toBeGreaterThanOrEqual(0);
});

const levels = LEVELS.slice(0, best + 1);
test.each(defaultDevice() === 'cpu' ? levels : levels.slice(-1))(
  '%s: a row has the same bytes however it is computed',
  (level) => {
    const env = { HEDDLE_CPU: level, HEDDLE_NUM_THREADS: '' };
    const { stdout, stderr, status } = runModule('bytes-check', { env, timeoutMs: 300_000 });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(JSON.parse(stdout)).toEqual({ instructionSet: level, differences: [] });
  },
  300_000,
);

const wrong: [level: string, message: RegExp][] = [
  ...LEVELS.slice(best + 1).map((level): [string, RegExp] => [
    level,
    new RegExp(`HEDDLE_CPU=${level} .*${LEVELS[best]}`),
  ]),
  ['sse', new RegExp(`HEDDLE_CPU must be ${LEVELS.slice(0, -1).join(', ')} or ${LEVELS.at(-1)} but got "sse"`)],
];
test.each(wrong)('HEDDLE_CPU=%s is a RangeError that says so', (level, message) => {
  const { stderr, status } = runScript('', { env: { HEDDLE_CPU: level } });
  expect(status).toBe(1);
  expect(stderr).toMatch(/RangeError: \[heddle\]/);
  expect(stderr).toMatch(message);
});
