import { attention, mask, tensor, type FloatDType, type Tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

interface Case {
  batch?: number;
  heads?: number;
  kvHeads?: number;
  queries: number;
  keys: number;
  keyWidth?: number;
  valueWidth?: number;
  causal?: boolean;
  scale?: number;
}

/** The case complete, with numbers. */
function numbersOf(given: Case, seed = 1, dtype: FloatDType = 'float32'): naive.NaiveAttention {
  const random = new Random(seed);
  const { batch = 1, heads = 2, kvHeads = heads, keyWidth = 16, valueWidth = keyWidth } = given;
  const { queries, keys } = given;
  return {
    ...given,
    ...{ batch, heads, kvHeads, keyWidth, valueWidth },
    q: rounded(random.normals(batch * heads * queries * keyWidth, 2), dtype),
    k: rounded(random.normals(batch * kvHeads * keys * keyWidth), dtype),
    v: rounded(random.normals(batch * kvHeads * keys * valueWidth), dtype),
  };
}

function runBoth(a: naive.NaiveAttention, dtype: FloatDType = 'float32'): { output: Tensor; lse: Tensor } {
  const { batch, heads, kvHeads, queries, keys, keyWidth, valueWidth } = a;
  return attention(
    tensor(Float32Array.from(a.q), [batch, heads, queries, keyWidth], { dtype }),
    tensor(Float32Array.from(a.k), [batch, kvHeads, keys, keyWidth], { dtype }),
    tensor(Float32Array.from(a.v), [batch, kvHeads, keys, valueWidth], { dtype }),
    { mask: a.causal ? mask.causal() : undefined, scale: a.scale, returnLse: true },
  );
}
const run = (a: naive.NaiveAttention, dtype?: FloatDType): Tensor => runBoth(a, dtype).output;

const both: (sizes: Case) => Case[] = (sizes) => [sizes, { ...sizes, causal: true }];

const cases: Case[] = [
  ...both({ queries: 1, keys: 1 }),
  ...both({ queries: 1, keys: 64 }),
  ...both({ queries: 1, keys: 65, batch: 3 }),
  ...both({ queries: 7, keys: 7, batch: 2, heads: 3 }),
  ...both({ queries: 5, keys: 40 }),
  ...both({ queries: 63, keys: 129, heads: 1 }),
  ...both({ queries: 100, keys: 100, heads: 1 }),
  ...both({ queries: 9, keys: 4 }), // with causal, five rows see nothing
  ...both({ queries: 130, keys: 3, heads: 1 }),
  ...both({ queries: 20, keys: 33, heads: 6, kvHeads: 1 }),
  ...both({ queries: 3, keys: 70, heads: 6, kvHeads: 2, batch: 2 }),
  ...both({ queries: 1, keys: 90, heads: 12, kvHeads: 3 }),
  ...both({ queries: 4, keys: 6, keyWidth: 8, valueWidth: 24 }),
  ...both({ queries: 4, keys: 6, keyWidth: 40, valueWidth: 1 }),
  ...both({ queries: 3, keys: 511, heads: 1 }), // spans of 512 keys
  ...both({ queries: 3, keys: 512, heads: 1 }),
  ...both({ queries: 3, keys: 513, heads: 1 }),
  ...both({ queries: 2, keys: 1700, heads: 2, kvHeads: 1 }),
  { queries: 3, keys: 20, scale: 1 },
  { queries: 3, keys: 20, scale: 0 },
  { queries: 3, keys: 20, scale: -0.5 },
  { queries: 40, keys: 700, scale: 8 }, // scores of some hundreds
];
const widths = [1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 63, 64, 65, 80, 96, 127, 128, 129, 130];

describe.each(FLOATS)('%s: attention', (dtype) => {
  test.each(cases)('%j', async (given) => {
    const numbers = numbersOf(given, 1, dtype);
    const { output, lse } = runBoth(numbers, dtype);
    const rows = [numbers.batch, numbers.heads, numbers.queries];
    expect([output.shape, output.dtype]).toEqual([[...rows, numbers.valueWidth], dtype]);
    expect([lse.shape, lse.dtype]).toEqual([rows, 'float32']);
    naive.expectAsGoodAsPlain(await output.data(), (f, store) => naive.attention(numbers, f, store), undefined, dtype);
    naive.expectAsGoodAsPlain(await lse.data(), (f) => naive.attentionLse(numbers, f), 'lse');
  });

  test.each(widths)('heads of width %i', async (width) => {
    const numbers = numbersOf({ queries: 3, keys: 70, keyWidth: width, causal: true }, width, dtype);
    const out = await run(numbers, dtype).data();
    naive.expectAsGoodAsPlain(out, (f, store) => naive.attention(numbers, f, store), undefined, dtype);
  });
});

describe('attention', () => {
  test('rows that see nothing give 0, and their lse is -∞', async () => {
    const numbers = numbersOf({ queries: 60, keys: 7, causal: true, heads: 1 });
    const { output, lse } = runBoth(numbers);
    const [out, sums] = [await output.data(), await lse.data()];
    expect(out.slice(0, 53 * 16)).toEqual(new Float32Array(53 * 16));
    expect(out.subarray(53 * 16).every((x) => x !== 0)).toBe(true);
    expect(sums.slice(0, 53)).toEqual(new Float32Array(53).fill(-Infinity));
    expect(sums.subarray(53).every(Number.isFinite)).toBe(true);
  });

  const empty: [Case, zeros: number][] = [
    [{ batch: 0, queries: 3, keys: 3 }, 0],
    [{ heads: 0, kvHeads: 1, queries: 3, keys: 3 }, 0],
    [{ queries: 0, keys: 3 }, 0],
    [{ queries: 3, keys: 0 }, 96],
    [{ queries: 3, keys: 0, causal: true }, 96],
    [{ queries: 3, keys: 3, valueWidth: 0 }, 0],
  ];
  test.each(empty)('%j', async (given, zeros) => {
    expect(await run(numbersOf(given)).data()).toEqual(new Float32Array(zeros));
  });

  test('keys of width 0: every key counts alike', async () => {
    const numbers = numbersOf({ queries: 2, keys: 5, keyWidth: 0, valueWidth: 3, scale: 1 });
    naive.expectAsGoodAsPlain(await run(numbers).data(), (f, store) => naive.attention(numbers, f, store));
  });
});

describe('views', () => {
  // [B, T, 3, H, D] as a fused projection gives it.
  const [batch, length, heads, width] = [2, 70, 3, 20];
  const fused = new Random(8).normals(batch * length * 3 * heads * width);
  const parts = () => {
    const x = tensor(fused, [batch, length, 3, heads, width]);
    return [0, 1, 2].map((part) =>
      x
        .slice(2, part, part + 1)
        .reshape([batch, length, heads, width])
        .transpose(1, 2),
    );
  };

  test('a fused projection needs no copy', async () => {
    const [q, k, v] = parts() as [Tensor, Tensor, Tensor];
    const copy = async (x: Tensor) => tensor(await x.data(), x.shape);
    const dense = attention(await copy(q), await copy(k), await copy(v), { mask: mask.causal() });
    using out = attention(q, k, v, { mask: mask.causal() });
    expect(out.shape).toEqual([batch, heads, length, width]);
    expect(await out.data()).toEqual(await dense.data());
    using joined = out.transpose(1, 2).reshape([batch, length, heads * width]);
    expect(await joined.data()).toEqual(
      await dense
        .transpose(1, 2)
        .reshape([batch, length, heads * width])
        .data(),
    );
  });

  test('also with the innermost axis strided', async () => {
    const [q, k, v] = parts() as [Tensor, Tensor, Tensor];
    const across = async (x: Tensor) => tensor(await x.transpose().data(), x.transpose().shape).transpose();
    expect(await attention(await across(q), await across(k), await across(v)).data()).toEqual(
      await attention(q, k, v).data(),
    );
  });
});

describe.each(FLOATS)('%s: NaN', (dtype) => {
  const width = 16;
  const numbers = numbersOf({ queries: 100, keys: 100, heads: 2, causal: true }, 1, dtype);
  const clean = run(numbers, dtype);
  const rowsOf = async (out: Tensor) => {
    const values = await out.data();
    return Array.from({ length: 200 }, (_, r) => values.subarray(r * width, (r + 1) * width));
  };

  test.each(['k', 'v'] as const)('in the last key (%s) stays with the queries that see it', async (which) => {
    const spoilt = Float32Array.from(numbers[which]);
    spoilt.fill(NaN, 99 * width, 100 * width); // of the first head
    const [rows, expected] = [await rowsOf(run({ ...numbers, [which]: spoilt }, dtype)), await rowsOf(clean)];
    expect(rows[99]!.every(Number.isNaN)).toBe(true);
    // Rows of its own tile may become NaN; 48 rows are one.
    for (const r of [...Array(48).keys(), ...Array(100).keys()].map((r, at) => (at < 48 ? r : r + 100))) {
      expect(rows[r]).toEqual(expected[r]);
    }
  });

  test('in a query stays in its row', async () => {
    const q = Float32Array.from(numbers.q);
    q[30 * width] = NaN;
    const [rows, expected] = [await rowsOf(run({ ...numbers, q }, dtype)), await rowsOf(clean)];
    rows.forEach((row, r) =>
      r === 30 ? expect(row.every(Number.isNaN)).toBe(true) : expect(row).toEqual(expected[r]),
    );
  });

  test.each(['k', 'v'] as const)('in a key (%s) amid others that no query may attend to stays there', async (which) => {
    const spoilt = Float32Array.from(numbers[which]);
    for (const head of [0, 1]) spoilt.fill(NaN, (head * 100 + 40) * width, (head * 100 + 41) * width);
    const keep = Uint8Array.from({ length: 100 * 100 }, (_, j) => Number(j % 100 !== 40));
    const options = { mask: mask.dense(tensor(keep, [1, 1, 100, 100], { dtype: 'bool' })) };
    const attend = ({ q, k, v }: typeof numbers) => {
      const put = (values: ArrayLike<number>) => tensor(rounded(values, dtype), [1, 2, 100, width], { dtype });
      return attention(put(q), put(k), put(v), options).data();
    };
    expect(await attend({ ...numbers, [which]: spoilt })).toEqual(await attend(numbers));
  });

  test('in freed memory does not leak from keys that are not there', async () => {
    for (const keys of [1, 3, 63, 65]) {
      const few = numbersOf({ queries: keys, keys, keyWidth: 9, causal: true }, 1, dtype);
      const expected = await run(few, dtype).data();
      for (let size = 16; size < 2 ** 18; size = Math.ceil(size * 1.1)) {
        tensor(new Float32Array(size).fill(NaN)).dispose();
      }
      expect(await run(few, dtype).data()).toEqual(expected);
    }
  });
});
