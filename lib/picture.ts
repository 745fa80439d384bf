import { checkOptions, rangeError, typeError } from './check';
import { shapeOf, type Tensor } from './tensor/tensor';

/** A matrix of shares as a picture: queries downwards, keys to the right. */
export interface MatrixPicture {
  /** Row-major, 0 … 1: how dark a cell is. */
  values: ArrayLike<number>;
  rows: number;
  columns: number;
  title: string;
  /** One a row, or a column; default: numbers. */
  rowLabels?: readonly string[] | undefined;
  columnLabels?: readonly string[] | undefined;
}

/** Cells along an axis; of larger matrices, neighbours share one. */
const MAX_CELLS = 128;
/** Of the plot, in pixels. */
const EXTENT = 448;
const FONT = 11;

const escape = (text: string) =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
const short = (x: number) => String(Number(x.toFixed(2)));

/** Means over blocks of neighbours, so that no axis has more than MAX_CELLS. */
function coarse({ values, rows, columns }: MatrixPicture) {
  const step = (count: number) => Math.max(1, Math.ceil(count / MAX_CELLS));
  const [down, right] = [step(rows), step(columns)];
  const [height, width] = [Math.ceil(rows / down), Math.ceil(columns / right)];
  const cells = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => {
      let sum = 0;
      let count = 0;
      for (let i = y * down; i < Math.min(rows, (y + 1) * down); ++i) {
        for (let j = x * right; j < Math.min(columns, (x + 1) * right); ++j, ++count) sum += values[i * columns + j]!;
      }
      return sum / count;
    }),
  );
  return { cells, down, right };
}

/** Labels at some distance from each other: every one where there is room, else round numbers. */
function ticks(count: number, step: number, size: number, labels: readonly string[] | undefined) {
  if (labels && size >= FONT) return labels.map((label, i) => [i + 0.5, label] as const);
  const every =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((n) => (n / step) * size >= 3 * FONT) ?? 1e4;
  return Array.from(
    { length: Math.ceil(count / every) },
    (_, i) => [(i * every) / step + 0.5, `${i * every}`] as const,
  );
}

/** The picture as a document of its own, in the colours of the page's light or dark scheme. */
export function matrixToSvg(picture: MatrixPicture): string {
  const { cells, down, right } = coarse(picture);
  const [height, width] = [cells.length, cells[0]?.length ?? 0];
  const size = Math.min(18, EXTENT / Math.max(height, width));
  const longest = (labels: readonly string[] | undefined, fallback: number) =>
    Math.max(fallback, ...(labels ?? []).map((label) => label.length));
  const left = FONT * (2.5 + 0.62 * longest(picture.rowLabels, 3));
  const top = FONT * (4 + (picture.columnLabels ? 0.62 * longest(picture.columnLabels, 0) : 1));
  const [w, h] = [left + width * size + FONT, top + height * size + FONT];

  // A rectangle for each run of equal cells.
  const rectangles: string[] = [];
  for (const [y, row] of cells.entries()) {
    for (let x = 0, end = 0; x < width; x = end) {
      for (end = x + 1; end < width && row[end] === row[x];) ++end;
      if (!(row[x]! > 0)) continue;
      const place = `x="${short(left + x * size)}" y="${short(top + y * size)}"`;
      const extent = `width="${short((end - x) * size)}" height="${short(size)}"`;
      rectangles.push(`<rect ${place} ${extent} fill-opacity="${short(0.1 + 0.9 * Math.min(1, row[x]!))}"/>`);
    }
  }
  const down1 = ticks(picture.rows, down, size, picture.rowLabels).map(
    ([at, label]) =>
      `<text x="${short(left - 5)}" y="${short(top + at * size)}" text-anchor="end" dominant-baseline="central">${escape(label)}</text>`,
  );
  const across = ticks(picture.columns, right, size, picture.columnLabels).map(([at, label]) => {
    const [x, y] = [short(left + at * size), short(top - 5)];
    const turned = picture.columnLabels
      ? `transform="rotate(-90 ${x} ${y})" text-anchor="start" dominant-baseline="central"`
      : 'text-anchor="middle"';
    return `<text x="${x}" y="${y}" ${turned}>${escape(label)}</text>`;
  });
  const middle = short(top + (height * size) / 2);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${short(w)} ${short(h)}" width="${short(w)}" height="${short(h)}" role="img">`,
    `<title>${escape(picture.title)}</title>`,
    '<style>',
    `:root{color-scheme:light dark}text{font:${FONT}px system-ui,sans-serif;fill:#444}.cells{fill:#1f6feb}.frame{fill:none;stroke:#999}`,
    '@media (prefers-color-scheme:dark){text{fill:#bbb}.cells{fill:#79b8ff}.frame{stroke:#666}}',
    '</style>',
    `<text x="${short(FONT / 2)}" y="${short(FONT * 1.3)}" font-weight="bold">${escape(picture.title)}</text>`,
    `<text x="${short(left + width * size)}" y="${short(FONT * 1.3)}" text-anchor="end">key →</text>`,
    `<text x="${short(FONT)}" y="${middle}" text-anchor="middle" transform="rotate(-90 ${short(FONT)} ${middle})">← query</text>`,
    ...[...down1, ...across],
    `<g class="cells" shape-rendering="crispEdges">${rectangles.join('')}</g>`,
    `<rect class="frame" x="${short(left)}" y="${short(top)}" width="${short(width * size)}" height="${short(height * size)}"/>`,
    '</svg>',
    '',
  ].join('\n');
}

export interface AttentionMapOptions {
  /** Of the keys, where they are other tokens than the queries. Default: those of the queries. */
  keyTokens?: readonly string[] | undefined;
  /** Default 'attention'. */
  title?: string | undefined;
}

/** Attention weights of one head, to look at. */
export interface AttentionMap {
  /** An SVG document: queries downwards, keys to the right, the darker the more weight; light and dark. */
  toSVG(): Promise<string>;
}

function checkTokens(argument: string, tokens: unknown, count: number): void {
  if (!Array.isArray(tokens) || tokens.some((token) => typeof token !== 'string')) {
    throw typeError('attentionMap', argument, 'an array of strings', tokens);
  }
  if (tokens.length !== count) throw rangeError('attentionMap', argument, `of ${count} tokens`, tokens);
}

/**
 * A picture of the weights of one head, as `attention(…, { returnWeights: true })` gives them.
 *
 * @param weights [Tq, Tk], or with further axes of size 1 before these.
 * @param tokens of the queries, and of the keys unless `keyTokens` names them.
 * @throws TypeError, RangeError for another shape or number of tokens.
 */
export function attentionMap(
  weights: Tensor,
  tokens: readonly string[],
  options: AttentionMapOptions = {},
): AttentionMap {
  checkOptions('attentionMap', options, ['keyTokens', 'title']);
  const { keyTokens = tokens, title = 'attention' } = options;
  const shape = shapeOf('attentionMap', 'weights', weights);
  const [rows = 0, columns = 0] = shape.slice(-2);
  if (shape.length < 2 || shape.slice(0, -2).some((size) => size !== 1)) {
    throw rangeError('attentionMap', 'weights', 'of shape [Tq, Tk]', shape);
  }
  checkTokens('tokens', tokens, rows);
  checkTokens('keyTokens', keyTokens, columns);
  if (typeof title !== 'string') throw typeError('attentionMap', 'title', 'a string', title);
  const shown = (token: string) => token.replace(/\n/g, '⏎').replace(/^\s+|\s+$/g, '·');
  return {
    async toSVG() {
      const values = await weights.data();
      const labels = { rowLabels: tokens.map(shown), columnLabels: keyTokens.map(shown) };
      return matrixToSvg({ values, rows, columns, title, ...labels });
    },
  };
}
