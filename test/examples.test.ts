import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

// Each example as a user runs it, and a line that it must print.
const printed: Record<string, RegExp> = {
  'attention.mjs': /^\[ 1, 2, 4, 8 \] Float32Array\(64\)/m,
  'bahdanau-and-luong.mjs': /^Luong, local-p .*0\.000 {2}around \d/m,
  'dates.mjs': /^2021-03-03 -0\.0/m,
  'encoder-decoder.mjs': /^padding matters: false$/m,
  'generate.mjs': /\w/,
  'masks-and-biases.mjs': /^causal: 50\.1 % of the pairs/m,
  'performer.mjs': /^last token from the state \[ 1, 2, 16, 17 \] has the same bytes: true$/m,
};

test.each(readdirSync('examples').filter((name) => name.endsWith('.mjs')))('%s', (name) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`examples/${name}`], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(printed[name]!);
  expect(stdout).not.toMatch(/NaN|undefined/);
});
