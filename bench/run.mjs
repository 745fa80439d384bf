// npm run bench: what this machine can do at most, then how fast heddle's ops and models are on it.
// npm run bench -- --help tells the options.
import * as path from 'node:path';
import { readOptions, runBenchmark } from './command.mjs';
import { rowsTable } from './report.mjs';
import { rows } from './rows.mjs';

const METHOD = `A row is many samples, taken in turns with others of its line where it has any. On one thread, rates are of processor time,
its best decile, which other work on the machine disturbs least; on more, of the best decile of time. A decoding step is
compared with reading a buffer as large as the weights it reads; all else with the ceilings, whichever bounds it.`;

const module = (file) => ({ module: path.join(import.meta.dirname, file) });

await runBenchmark({
  name: 'bench',
  rows,
  engines: { heddle: module('heddle.mjs'), patterns: module('heddle.mjs'), ceilings: module('ceilings.mjs') },
  options: readOptions('npm run bench --', "measures this machine's ceilings, then ops and models"),
  method: METHOD,
  tableOf: (run, older) => rowsTable(run.rows, older),
});
