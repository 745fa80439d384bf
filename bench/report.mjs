// Measured rows as Markdown, which is also what the terminal shows.
import { ceilingOf } from './ceilings.mjs';
import { figureOf } from './turns.mjs';

const digits = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
export const time = (ms) => (ms === undefined ? '' : ms < 1 ? `${digits(1000 * ms)} µs` : `${digits(ms)} ms`);

/** The rate of a row, and how near it is to what bounds it: the larger share of what can be computed and read. */
function rateOf(row, ceilings) {
  const [own] = row.results;
  const reading = row.results.find(({ engine }) => engine === 'ceilings');
  if (own.error !== undefined || own.p99Ms !== undefined) return undefined;
  const ms = figureOf(own, row.threads);
  const memory = reading && !reading.error ? row.bytes / reading.bestMs / 1e6 : undefined;
  const rates = [
    {
      unit: 'GFLOP/s',
      value: (row.flops ?? (row.flopsOfTile ?? 0) * (own.facts?.tiles ?? 0)) / ms / 1e6,
      ceiling: ceilingOf(ceilings, row.computes, row.threads),
    },
    {
      unit: 'GB/s',
      value: (row.bytes ?? 0) / ms / 1e6,
      ceiling: memory ?? ceilingOf(ceilings, row.moves ?? 'memory', row.threads),
    },
  ].filter(({ value }) => value > 0);
  const shares = rates.map((rate) => ({ ...rate, share: rate.ceiling ? rate.value / rate.ceiling : undefined }));
  return shares.sort((a, b) => (b.share ?? 0) - (a.share ?? 0))[0];
}

/** A measured row with what follows from its figures: its rate, and how many times as long its peers take. */
export function withRates(row, ceilings) {
  const [own, ...others] = row.results;
  const ratio = (peer) => figureOf(peer, row.threads) / figureOf(own, row.threads);
  const compared = others.map((peer) => (own.error || peer.error ? peer : { ...peer, overHeddle: ratio(peer) }));
  return { ...row, rate: rateOf(row, ceilings), results: [own, ...compared] };
}

/** What else there is to say. */
function noteOf({ tokens, flopsOfTile, threads, results: [own, other] }) {
  const notes = [];
  if (tokens && !own.error) notes.push(`${digits((1000 * tokens) / figureOf(own, threads))} tokens/s`);
  if (own.beyondMs !== undefined) {
    const share = (ms) => `${time(ms)} (${((100 * ms) / own.bestMs).toFixed(1)} % of a step)`;
    notes.push(`${share(own.beyondMs)} beyond kernels, ${share(own.javascriptMs)} in JavaScript and the binding`);
  }
  if (flopsOfTile) {
    const { tiles, besideMb } = own.facts;
    notes.push(`${time(figureOf(own, threads) / tiles)} a tile, ${digits(besideMb)} MB beside the operands`);
  }
  if (other) notes.push(`${other.label}: ${other.error ?? time(figureOf(other, threads))}`);
  return notes.join('; ');
}

/** How many times as fast as on one thread, by the best deciles. */
function overOneThread(row, all) {
  const one = all.find(({ id, threads }) => id === row.id && threads === 1);
  const [now, then] = [row.results[0].bestMs, one?.results[0].bestMs];
  return row.threads > 1 && now && then ? `${(then / now).toFixed(2)}` : '';
}

/** Aligned columns; all but the first and last to the right. */
function table(head, body) {
  const widths = head.map((name, column) => Math.max(name.length, 3, ...body.map((cells) => cells[column].length)));
  const isLeft = (column) => column === 0 || column === head.length - 1;
  const line = (cells) =>
    `| ${cells.map((cell, i) => (isLeft(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (isLeft(i) ? `${'-'.repeat(width + 2)}` : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...body.map(line)].join('\n');
}

const percent = (share) => (share === undefined ? '' : `${(100 * share).toFixed(0)} %`);

export function ceilingsTable(ceilings) {
  const body = ceilings.map(({ name, threads, best, median, unit }) => [
    name,
    ...[`${threads}`, digits(best), digits(median)],
    unit,
  ]);
  return table(['ceiling', 'threads', 'best decile', 'median', 'unit'], body);
}

/** heddle's rows; with the figures of an older run, if there are. */
export function rowsTable(rows, older) {
  const head = ['row', 'threads', 'best decile', 'median', 'CPU time', 'rate', 'of ceiling', 'over 1 thread'];
  if (older) head.push('older ÷ this');
  const body = rows.map((row) => {
    const [own] = row.results;
    const { value, unit, share } = row.rate ?? {};
    const cells = [
      row.id,
      `${row.threads}`,
      own.p99Ms === undefined ? time(own.bestMs) : `p99 ${time(own.p99Ms)}`,
      ...[time(own.medianMs), time(own.cpuMs), value ? `${digits(value)} ${unit}` : '', percent(share)],
      overOneThread(row, rows),
    ];
    if (older) cells.push(comparedWith(older, row));
    return [...cells, own.error ?? noteOf(row)];
  });
  return table([...head, ''], body);
}

/** Of contenders of one engine, whose best one counts, that one. */
function withoutSlower({ bestOf, threads, results }) {
  const rivals = results.filter(({ engine, error }) => engine === bestOf && error === undefined);
  const best = rivals.sort((a, b) => figureOf(a, threads) - figureOf(b, threads))[0];
  return results.filter((one) => one.engine !== bestOf || one === best || rivals.length === 0);
}

/** A line a peer: heddle's figure, the peer's, and their ratio. */
export function peersTable(rows, older) {
  const head = ['row', 'threads', 'heddle', 'of ceiling', 'over 1 thread', 'peer ÷ heddle', 'peer’s'];
  if (older) head.splice(5, 0, 'older ÷ this');
  const body = rows.flatMap((row) => {
    const [own, ...others] = withoutSlower(row);
    const figure = own.error ? undefined : figureOf(own, row.threads);
    const cells = [row.id, `${row.threads}`, figure ? time(figure) : '', percent(row.rate?.share)];
    cells.push(overOneThread(row, rows));
    if (older) cells.push(comparedWith(older, row));
    const peers = others.map(({ label, error, overHeddle, ...peer }) => {
      const theirs = error ? undefined : figureOf(peer, row.threads);
      return [overHeddle?.toFixed(2) ?? '', theirs ? time(theirs) : '', `${label}${error ? `: ${error}` : ''}`];
    });
    const said = own.error ? `heddle: ${own.error}` : noteOf({ ...row, results: [own] });
    const lines = said === '' ? peers : [...peers, ['', '', said]];
    return lines.map((line, i) => [...(i === 0 ? cells : cells.map(() => '')), ...line]);
  });
  return table([...head, ''], body);
}

function comparedWith(older, row) {
  const then = older.rows.find(({ id, threads }) => id === row.id && threads === row.threads)?.results[0];
  const [now] = row.results;
  if (!then || then.error || now.error) return '';
  return (figureOf(then, row.threads) / figureOf(now, row.threads)).toFixed(2);
}

export function machineText({ cpu, cores, memoryGb, instructions, heddle, system, load, date, commit }) {
  const lines = [
    `${cpu}, ${cores} cores, ${memoryGb} GiB; ${instructions.join(', ')}`,
    `${system}; heddle${commit ? ` ${commit}` : ''} with ${heddle}; ${date}; load ${load} when it began`,
  ];
  return lines.join('\n');
}
