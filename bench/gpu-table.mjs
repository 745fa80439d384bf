// The measured rows of `bench/gpu.mjs` as Markdown.

/** By kind: title, columns of the shape, and the rate that says most. */
const KINDS = {
  attention: { title: 'Attention', shape: ['mask', 'D', 'H', 'Hkv', 'T'], rate: 'TFLOP/s' },
  decode: {
    title: 'Attention, one query a sequence over a paged cache',
    shape: ['D', 'H', 'Hkv', 'keys', 'batch'],
    rate: 'GB/s',
  },
  layer_norm: { title: 'Layer norm', shape: ['width', 'rows'], rate: 'GB/s' },
  linear: { title: 'Linear', shape: ['k', 'n', 'm'], rate: 'TFLOP/s' },
  quantized_linear: {
    title: 'Linear by quantized weights; operations count half, since bytes are multiplied twice as fast',
    shape: ['quantize', 'k', 'n', 'm'],
    rate: 'GB/s',
  },
  rms_norm: { title: 'RMS norm', shape: ['width', 'rows'], rate: 'GB/s' },
  sample: { title: 'A token of each row of logits', shape: ['processors', 'vocabulary', 'rows'], rate: 'GB/s' },
  copy: { title: 'Reading and writing (heddle: relu; PyTorch: copy_)', shape: ['elements'], rate: 'GB/s' },
  prefill: { title: 'A prompt through a GPT-2 of 124M random parameters', shape: ['tokens'], rate: 'tokens/s' },
  generate: { title: 'A decoding step of the same, in the native loop', shape: ['batch'], rate: 'tokens/s' },
};

const RATES = {
  'TFLOP/s': ({ flops }, us) => flops / us / 1e6,
  'GB/s': ({ bytes }, us) => bytes / us / 1e3,
  'tokens/s': ({ kind, tokens, batch }, us) => ((kind === 'prefill' ? tokens : batch) / us) * 1e6,
};

/** What the device can do: the best of this run, where PyTorch was there; else by its datasheet. */
export function findRoof(rows, deviceName) {
  const all = (kind, rate) =>
    rows
      .filter((row) => row.kind === kind)
      .flatMap((row) =>
        [row.heddle, ...Object.values(row.peers)].filter(({ us }) => us).map(({ us }) => rate(row, us)),
      );
  const [matrix, memory] = [all('linear', RATES['TFLOP/s']), all('copy', RATES['GB/s'])];
  if (rows.some(({ peers }) => Object.keys(peers).length > 0) && matrix.length > 0 && memory.length > 0) {
    return {
      source: 'the best linear layer and the best copy of this run',
      tflops: Math.max(...matrix),
      gbs: Math.max(...memory),
    };
  }
  const sheet = DATASHEETS.find(([name]) => name.test(deviceName));
  return sheet && { source: "the vendor's datasheet", tflops: sheet[1], gbs: sheet[2] };
}

/** Dense bfloat16 TFLOP/s and GB/s of memory. */
const DATASHEETS = [
  [/H200/, 989, 4800],
  [/H100 PCIe/, 756, 2000],
  [/H100/, 989, 3350],
  [/A100.*80GB/, 312, 2039],
  [/A100/, 312, 1555],
];

/** The least time in µs that the roof allows. */
const floorUs = ({ flops, bytes }, { tflops, gbs }) => Math.max(flops / tflops / 1e6, bytes / gbs / 1e3);

const digits = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const cell = (result) => (result === undefined ? '' : result.error ? 'error' : digits(result.us));

function tableOf(kind, rows, roof) {
  const { title, shape, rate } = KINDS[kind];
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers)))];
  const hasRoof = roof !== undefined && rows.every(({ flops }) => flops !== undefined);
  const head = [...shape, 'heddle µs', rate];
  if (hasRoof) head.push('of the roof');
  head.push(...peers.map((peer) => `${peer} µs`));
  if (peers.length > 0) head.push('best peer ÷ heddle');
  const lines = [`## ${title}`, '', `| ${head.join(' | ')} |`, `|${head.map(() => '---:').join('|')}|`];
  for (const row of rows) {
    const { us } = row.heddle;
    const cells = [...shape.map((key) => row[key]), cell(row.heddle), us ? digits(RATES[rate](row, us)) : ''];
    if (hasRoof) cells.push(us ? `${((100 * floorUs(row, roof)) / us).toFixed(0)} %` : '');
    cells.push(...peers.map((peer) => cell(row.peers[peer])));
    const best = Math.min(...Object.values(row.peers).map((peer) => peer.us ?? Infinity));
    if (peers.length > 0) cells.push(us && best < Infinity ? `${(best / us).toFixed(2)}` : '');
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines;
}

/** Every error, like ones together. */
function errorsOf(rows) {
  const ids = new Map();
  for (const { id, heddle, peers } of rows) {
    for (const [who, { error }] of Object.entries({ heddle, ...peers })) {
      if (error) ids.set(`${who}: ${error}`, [...(ids.get(`${who}: ${error}`) ?? []), id]);
    }
  }
  if (ids.size === 0) return [];
  const lines = [...ids].map(
    ([what, where]) => `- ${what} (${where.length}: ${where.slice(0, 3).join('; ')}${where.length > 3 ? '; …' : ''})`,
  );
  return ['## Errors', '', ...lines, ''];
}

export function markdown({ device, date, torch, method, roof, rows }) {
  const lines = [`# ${device}, ${date}: bfloat16`, '', method, '', `Peers: ${torch}.`];
  if (roof) lines.push(`The roof is ${roof.source}: ${digits(roof.tflops)} TFLOP/s, ${digits(roof.gbs)} GB/s.`);
  lines.push('');
  for (const kind of Object.keys(KINDS)) {
    const ofKind = rows.filter((row) => row.kind === kind);
    if (ofKind.length > 0) lines.push(...tableOf(kind, ofKind, roof), '');
  }
  return `${[...lines, ...errorsOf(rows)].join('\n').trimEnd()}\n`;
}
