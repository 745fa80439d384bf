// What `npm run bench` and `npm run bench:peers` have in common: options, progress, results.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import * as path from 'node:path';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { buildCeilings, measureCeilings } from './ceilings.mjs';
import { describeMachine, resultsFolder } from './machine.mjs';
import { ceilingsTable, machineText, withRates } from './report.mjs';
import { Engines, measureRow } from './turns.mjs';

function threadCounts(text) {
  const counts = text.split(',').map(Number);
  if (counts.some((count) => !Number.isInteger(count) || count < 1)) {
    throw new InvalidArgumentError("It must be numbers of threads, such as '1,2'.");
  }
  return counts;
}

/** The options of both; `extend(command)` adds others. */
export function readOptions(name, description, extend = (command) => command) {
  const all = availableParallelism();
  const command = new Command(name)
    .description(description)
    .option('--filter <text...>', 'only rows whose names have one of these in them')
    .option('--threads <counts>', 'of each row', threadCounts, all > 1 ? [1, all] : [1])
    .option('--json', 'as one JSON object, without a table')
    .option('--compare <file>', 'with the results of an older run, its JSON')
    .option('--out <folder>', 'for results; default: bench/results/<cpu>-<date>, or none with --filter')
    .option('--list', 'names the rows, measures nothing');
  return extend(command).parse().opts();
}

/** Rows that were asked for, once for each number of threads. */
function chosen(rows, { filter, threads }) {
  const wanted = filter ? rows.filter(({ id }) => filter.some((text) => id.includes(text))) : rows;
  return threads.flatMap((count) =>
    wanted.filter((row) => row.threads?.includes(count) ?? true).map((row) => ({ ...row, threads: count })),
  );
}

const turnsOf = (rows) => rows.reduce((sum, row) => sum + (row.rounds ?? 7), 0);

/** Measures rows one after another, with a bar where a person looks on; `keep` is given those that there are so far. */
async function measure(rows, engines, keep) {
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: '{bar} {percentage} % | {eta_formatted} left | {row}',
        clearOnComplete: true,
        etaBuffer: 30,
      })
    : undefined;
  bar?.start(turnsOf(rows), 0, { row: '' });
  const measured = [];
  try {
    for (const { contenders, rounds, turnMs, ...row } of rows) {
      bar?.update({ row: `${row.id}, ${row.threads} threads` });
      const results = await measureRow(engines, { contenders, rounds, turnMs }, row.threads, () => bar?.increment());
      measured.push({ ...row, results });
      keep(measured);
    }
  } finally {
    bar?.stop();
    engines.end();
  }
}

/**
 * Ceilings first, then the rows; prints `tableOf(run, older)` or JSON, and keeps both in the folder of results, row by row.
 *
 * @param name of the files
 */
export async function runBenchmark({ name, rows, engines, options, method, tableOf }) {
  if (options.list) {
    for (const { id } of rows) console.log(id);
    return;
  }
  const wanted = chosen(rows, options);
  if (wanted.length === 0) {
    process.stderr.write('no row has any of that in its name; --list names all\n');
    process.exitCode = 2;
    return;
  }
  const older = options.compare && JSON.parse(readFileSync(options.compare, 'utf8'));
  const machine = describeMachine();
  const reason = buildCeilings();
  const ceilings = reason ? [] : options.threads.flatMap((threads) => measureCeilings('all', threads));
  if (older && older.machine.cpu !== machine.cpu) process.stderr.write(`the older run is of ${older.machine.cpu}\n`);

  const folder = options.out ?? (options.filter ? undefined : resultsFolder(machine));
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  const ceilingsText = reason ?? ceilingsTable(ceilings);
  let printed;
  await measure(wanted, new Engines(engines), (measured) => {
    const run = { machine, method, ceilings, reason, rows: measured.map((row) => withRates(row, ceilings)) };
    const text = [machineText(machine), method, ceilingsText, tableOf(run, older)].join('\n\n') + '\n';
    const json = `${JSON.stringify(run, null, 1)}\n`;
    printed = options.json ? json : text;
    if (folder === undefined) return;
    writeFileSync(path.join(folder, `${name}.json`), json);
    writeFileSync(path.join(folder, `${name}.md`), `# ${machine.cpu}, ${machine.date}\n\n${text}`);
  });
  process.stdout.write(printed);
  if (folder !== undefined) process.stderr.write(`results: ${path.relative('', folder)}/${name}.{json,md}\n`);
}
