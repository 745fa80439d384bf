import { attention, mask, tensor, type Mask } from 'heddle';
import { OPS, expectClose } from '../support/compare';
import { Random } from '../support/random';

// Masks are compared element by element with their plain definitions, then attention with the plain formula over the
// elements that the mask itself keeps.

type Keeps = (query: number, key: number, batch: number, head: number) => boolean;

const DOCUMENTS = Array.from({ length: 300 }, (_, i) => [0, 0, 0, 1, 1, 2, -1, 3][Math.floor(i / 41)]!);
const GLOBALS = [0, 17, 130];
const LENGTHS = [150, 7];
const LAYOUT = [
  [1, 0, 1],
  [0, 1, 1],
  [1, 1, 1],
  [0, 0, 0],
  [1, 1, 1],
];
const PARENTS = [-1, 0, 0, 1, 2, 2, -1, 6, 7, 7];
/** A node of the tree and its ancestors. */
function lineOf(node: number): number[] {
  const parent = PARENTS[node];
  if (parent === undefined) return [];
  return parent < 0 ? [node] : [node, ...lineOf(parent)];
}
const denseKeeps: Keeps = (query, key, batch, head) => (query * 7 + key * 3 + batch + head) % 5 < 2;

function dense(batch: number, heads: number, queries: number, keys: number): Mask {
  const values = new Uint8Array(batch * heads * queries * keys);
  let at = 0;
  for (let b = 0; b < batch; ++b) {
    for (let h = 0; h < heads; ++h) {
      for (let i = 0; i < queries; ++i) for (let j = 0; j < keys; ++j) values[at++] = Number(denseKeeps(i, j, b, h));
    }
  }
  return mask.dense(tensor(values, [batch, heads, queries, keys]));
}

const [BATCH, HEADS] = [2, 2];
const EXTENTS = [
  { queries: 70, keys: 200 },
  { queries: 1, keys: 130 },
  { queries: 90, keys: 90 },
  { queries: 20, keys: 5 },
];

for (const { queries, keys } of EXTENTS) {
  const offset = keys - queries;
  const position = (query: number) => query + offset;
  const pieces: [name: string, mask: () => Mask, keeps: Keeps][] = [
    ['causal', () => mask.causal(), (i, j) => j <= position(i)],
    ['slidingWindow(5)', () => mask.slidingWindow(5), (i, j) => j > position(i) - 5 && j <= position(i)],
    ['slidingWindow(3, 70)', () => mask.slidingWindow(3, 70), (i, j) => j >= position(i) - 3 && j <= position(i) + 70],
    ['padding(lengths)', () => mask.padding(LENGTHS), (_, j, b) => j < LENGTHS[b]!],
    ['prefix(66)', () => mask.prefix(66), (_, j) => j < 66],
    [
      'documents',
      () => mask.documents(DOCUMENTS),
      (i, j) => (DOCUMENTS[position(i)] ?? -1) >= 0 && DOCUMENTS[position(i)] === DOCUMENTS[j],
    ],
    ['causal, top-left', () => mask.causal({ align: 'top-left' }), (i, j) => j <= i],
    ['dilated(4, 3)', () => mask.dilated(4, 3), (i, j) => [0, 3, 6, 9].includes(position(i) - j)],
    [
      'strided(7)',
      () => mask.strided(7),
      (i, j) => j <= position(i) && (position(i) - j < 7 || (position(i) - j) % 7 === 0),
    ],
    [
      'fixed(20, 3)',
      () => mask.fixed(20, 3),
      (i, j) => j <= position(i) && (Math.floor(position(i) / 20) === Math.floor(j / 20) || j % 20 >= 17),
    ],
    [
      "padding(lengths, { side: 'left' })",
      () => mask.padding(LENGTHS, { side: 'left' }),
      (_, j, b) => j >= keys - LENGTHS[b]!,
    ],
    [
      'blocks',
      () => mask.blocks(LAYOUT, 32),
      (i, j) => LAYOUT[Math.floor(position(i) / 32)]?.[Math.floor(j / 32)] === 1,
    ],
    [
      'blocks by head',
      () => mask.blocks(tensor(Uint8Array.from([...LAYOUT.flat(), ...LAYOUT.flat().map((x) => 1 - x)]), [2, 5, 3]), 48),
      (i, j, _, h) => (LAYOUT[Math.floor(position(i) / 48)]?.[Math.floor(j / 48)] ?? h + 2) === 1 - h,
    ],
    ['tree', () => mask.tree(PARENTS), (i, j) => j < offset || lineOf(i).includes(j - offset)],
    ['globalTokens', () => mask.globalTokens(GLOBALS), (i, j) => GLOBALS.includes(position(i)) || GLOBALS.includes(j)],
    ['dense', () => dense(BATCH, HEADS, queries, keys), denseKeeps],
  ];
  const combined: typeof pieces = [];
  const random = new Random(queries * 1000 + keys);
  const pick = () => random.pick(pieces);
  for (let i = 0; i < 12; ++i) {
    const [[a, maskA, keepsA], [b, maskB, keepsB], [c, maskC, keepsC]] = [pick(), pick(), pick()];
    combined.push([
      `(${a} and not ${b}) or ${c}`,
      () => maskA().and(maskB().not()).or(maskC()),
      (...at) => (keepsA(...at) && !keepsB(...at)) || keepsC(...at),
    ]);
    combined.push([
      `(${a} or ${b}) and ${c}`,
      () => maskA().or(maskB()).and(maskC()),
      (...at) => (keepsA(...at) || keepsB(...at)) && keepsC(...at),
    ]);
  }

  describe(`${queries} queries, ${keys} keys`, () => {
    test.each([...pieces, ...combined])('%s', async (_, make, keeps) => {
      const one = make();
      const array = await one.toArray({ queries, keys, batch: BATCH, heads: HEADS });
      let at = 0;
      let kept = 0;
      for (let b = 0; b < BATCH; ++b) {
        for (let h = 0; h < HEADS; ++h) {
          for (let i = 0; i < queries; ++i) {
            for (let j = 0; j < keys; ++j) {
              const wanted = Number(keeps(i, j, b, h));
              kept += wanted;
              if (array[at++] !== wanted) throw new Error(`[${b}, ${h}, ${i}, ${j}] must be ${wanted}`);
            }
          }
        }
      }
      const { density, tiles } = await one.describe({ queries, keys, batch: BATCH, heads: HEADS });
      expect(density).toBeCloseTo(kept / array.length, 12);
      const all = BATCH * HEADS * Math.ceil(queries / 64) * Math.ceil(keys / 64);
      expect(tiles.none + tiles.all + tiles.mixed).toBe(all);
      await checkAttention(one, array, queries, keys);
    });
  });
}

/** Attention with grouped heads under a mask, against the plain formula in float64. NaN keys that no row sees vanish. */
async function checkAttention(one: Mask, keeps: Uint8Array, queries: number, keys: number): Promise<void> {
  const [width, valueWidth] = [9, 5];
  const random = new Random(7);
  const normal = (count: number) => random.normals(count);
  const q = normal(BATCH * HEADS * queries * width);
  const k = normal(BATCH * keys * width);
  const v = normal(BATCH * keys * valueWidth);
  for (let b = 0; b < BATCH; ++b) {
    for (let j = 0; j < keys; ++j) {
      const seen = Array.from({ length: HEADS * queries }, (_, row) => keeps[(b * HEADS * queries + row) * keys + j]);
      if (!seen.includes(1)) v[(b * keys + j) * valueWidth] = NaN;
    }
  }
  const expected = new Float64Array(BATCH * HEADS * queries * valueWidth);
  for (let row = 0; row < BATCH * HEADS * queries; ++row) {
    const b = Math.floor(row / (HEADS * queries));
    const visible = Array.from({ length: keys }, (_, j) => j).filter((j) => keeps[row * keys + j] === 1);
    const scores = visible.map((j) => {
      let sum = 0;
      for (let d = 0; d < width; ++d) sum += q[row * width + d]! * k[(b * keys + j) * width + d]!;
      return sum / Math.sqrt(width);
    });
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    visible.forEach((j, at) => {
      for (let d = 0; d < valueWidth; ++d) {
        expected[row * valueWidth + d]! += (weights[at]! / total) * v[(b * keys + j) * valueWidth + d]!;
      }
    });
  }
  const [tq, tk, tv] = [
    tensor(q, [BATCH, HEADS, queries, width]),
    tensor(k, [BATCH, 1, keys, width]),
    tensor(v, [BATCH, 1, keys, valueWidth]),
  ];
  expectClose(await attention(tq, tk, tv, { mask: one }).data(), expected, OPS);
}

test('random keys: so many for each query, others for another seed', async () => {
  const rowsOf = async (seed: number) => {
    const array = await mask.random(seed, 5).toArray({ queries: 100, keys: 100 });
    return Array.from({ length: 100 }, (_, i) => array.slice(i * 100, (i + 1) * 100).join(''));
  };
  const rows = await rowsOf(1);
  for (const row of rows) expect([...row].filter((bit) => bit === '1')).toHaveLength(5);
  expect(new Set(rows).size).toBe(100);
  expect(await rowsOf(1)).toEqual(rows);
  expect(await rowsOf(2)).not.toEqual(rows);
  const columns = Array.from({ length: 100 }, (_, j) => rows.filter((row) => row[j] === '1').length);
  expect(Math.max(...columns)).toBeLessThan(16); // 5 are expected
  const few = await mask.random(3, 8).toArray({ queries: 2, keys: 6 });
  expect(few).toEqual(new Uint8Array(12).fill(1));
});

test('BigBird: window, ends and random blocks', async () => {
  const one = mask.bigBird(40, { blockSize: 4, randomBlocks: 2, seed: 5 });
  const array = await one.toArray({ queries: 40, keys: 40 });
  const kept = (i: number, j: number) => array[i * 4 * 40 + j * 4] === 1;
  for (let i = 0; i < 10; ++i) {
    const row = Array.from({ length: 10 }, (_, j) => kept(i, j));
    if (i === 0 || i === 9) {
      expect(row).not.toContain(false);
      continue;
    }
    expect([row[0], row[9], row[i - 1], row[i], row[i + 1]]).not.toContain(false);
    const others = row.filter((kept, j) => kept && j > 0 && j < 9 && Math.abs(i - j) > 1);
    expect(others).toHaveLength(2);
  }
  const { tiles } = await mask.bigBird(64 * 40).describe({ queries: 64 * 40, keys: 64 * 40 });
  expect(tiles.mixed).toBe(0);
  expect(tiles.all).toBeLessThan(40 * 12);
});

test('what does not fit is refused by name', async () => {
  const q = tensor(new Float32Array(2 * 4 * 8), [2, 1, 4, 8]);
  const attend = (one: Mask) => () => attention(q, q, q, { mask: one });
  expect(attend(mask.padding([1, 2, 3]))).toThrow(/\[attention\] mask .* 2 sequences/);
  expect(attend(mask.documents(tensor(new Int32Array(4))))).toThrow(/\[attention\] mask must have 2 axes/);
  expect(attend(dense(2, 3, 4, 4))).toThrow(/does not fit 1 heads/);
  expect(attend(dense(2, 1, 3, 4))).toThrow(/\[attention\] mask .* does not fit 4 queries and 4 keys/);
  expect(attend(dense(1, 1, 1, 5).not())).toThrow(/does not fit 4 queries and 4 keys/);
  await expect(dense(1, 1, 2, 3).toArray({ queries: 2, keys: 2 })).rejects.toThrow(/does not fit 2 queries and 2 keys/);
  expect(() => mask.slidingWindow(0)).toThrow(RangeError);
  expect(() => mask.padding([-1])).toThrow(/lengths\[0\]/);
  expect(() => mask.causal().and(3 as unknown as Mask)).toThrow(TypeError);
  const many = [1, 2, 3, 4, 5].map((n) => mask.prefix(n)).reduce((a, b) => a.or(b));
  expect(attend(many)).toThrow(RangeError);
  await expect(mask.causal().toArray({ queries: 0, keys: 1 })).rejects.toThrow(/queries/);
});
