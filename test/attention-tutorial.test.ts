import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import ts from 'typescript';

test('the tutorial prints the values of its worked example', () => {
  const source = readFileSync('examples/attention-tutorial.ts', 'utf8');
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
  });
  const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', outputText], { encoding: 'utf8' });
  const weights = ['0.4028   0.2886   0.3086', '0.3538   0.3069   0.3393', '0.1303   0.4630   0.4067'];
  const output = ['0.5698  -0.1520', '0.5379  -0.0265', '0.2246   0.5556'];
  for (const [title, rows] of Object.entries({ weights, output })) {
    const block = rows.map((row) => ` +${row.replace(/ +/g, ' +')}\n`).join('');
    expect(printed).toMatch(new RegExp(`^${title}, by hand\n${block}`, 'm'));
    expect(printed).toMatch(new RegExp(`^${title}\n${block}`, 'm'));
  }
  expect(printed).toMatch(/^weights, causal\n +1.0000 +0.0000 +0.0000\n/m);
});
