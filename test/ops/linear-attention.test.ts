import { linearAttention, recurrentAttention, setNumThreads, tensor, type Tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { expectAsGoodAsPlain } from '../support/naive';
import { recurrence, type NaiveRecurrence, type RecurrenceSizes } from '../support/naive-recurrence';
import { Random } from '../support/random';

const shape = (
  batch: number,
  heads: number,
  kvHeads: number,
  queries: number,
  keys: number,
  widths: [number, number],
) => ({ batch, heads, kvHeads, queries, keys, keyWidth: widths[0], valueWidth: widths[1] }) satisfies RecurrenceSizes;

const table: RecurrenceSizes[] = [
  shape(1, 1, 1, 1, 1, [1, 1]),
  shape(2, 4, 2, 9, 9, [8, 8]),
  shape(1, 6, 2, 33, 33, [17, 70]),
  shape(2, 2, 2, 5, 12, [64, 33]),
  shape(1, 3, 1, 7, 4, [40, 5]),
  shape(1, 2, 2, 3, 0, [4, 4]),
  shape(2, 2, 1, 130, 130, [36, 16]),
];
// The judge needs more than one number: of one, the plain formula may have none of its error by luck.
const withTokens = table.filter(({ queries, keys, keyWidth }) => queries === keys && keyWidth > 1);

/** Random operands, rounded to the dtype. */
function operands(sizes: RecurrenceSizes, dtype: (typeof FLOATS)[number], seed = 1) {
  const { batch, heads, kvHeads, queries, keys, keyWidth, valueWidth } = sizes;
  const random = new Random(seed);
  const normals = (count: number, scale = 1) => rounded(random.normals(count, scale), dtype);
  const put = (values: Float32Array, ...shape: number[]) => tensor(values, shape, { dtype });
  const q = normals(batch * heads * queries * keyWidth);
  const k = normals(batch * kvHeads * keys * keyWidth, 1 / Math.sqrt(keyWidth));
  const v = normals(batch * kvHeads * keys * valueWidth);
  const gates = {
    decay: normals(batch * kvHeads * keys, 0.3).map((x) => -Math.abs(x)),
    decays: normals(batch * kvHeads * keys * keyWidth, 0.3).map((x) => -Math.abs(x)),
    beta: normals(batch * kvHeads * keys, 0.5).map(Math.abs),
    sharedBeta: normals(batch * keys, 0.5).map(Math.abs),
    erase: normals(batch * kvHeads * keys * keyWidth),
  };
  return {
    q: put(q, batch, heads, queries, keyWidth),
    k: put(k, batch, kvHeads, keys, keyWidth),
    v: put(v, batch, kvHeads, keys, valueWidth),
    decay: put(gates.decay, batch, kvHeads, keys),
    decays: put(gates.decays, batch, kvHeads, keys, keyWidth),
    beta: put(gates.beta, batch, kvHeads, keys),
    sharedBeta: put(gates.sharedBeta, batch, 1, keys),
    erase: put(gates.erase, batch, kvHeads, keys, keyWidth),
    plain: { ...sizes, q, k, v } satisfies NaiveRecurrence,
    gates,
    state: (columns: number) => random.normals(batch * kvHeads * keyWidth * columns).map(Math.abs),
  };
}

async function expectBoth(
  found: { output: Tensor; state: Tensor },
  formulas: ReturnType<typeof recurrence>,
  dtype: (typeof FLOATS)[number],
) {
  expect(found.output.dtype).toBe(dtype);
  expect(found.state.dtype).toBe('float32');
  expectAsGoodAsPlain(await found.output.data(), formulas.output, 'output', dtype);
  expectAsGoodAsPlain(await found.state.data(), formulas.state, 'state');
}

describe.each(FLOATS)('%s', (dtype) => {
  describe.each([true, false])('linear attention, causal %p', (causal) => {
    test.each(table)('%j', async (sizes) => {
      const { q, k, v, plain, state } = operands(sizes, dtype);
      const past = state(sizes.valueWidth + 1);
      const columns = [sizes.batch, sizes.kvHeads, sizes.keyWidth, sizes.valueWidth + 1];
      const formulas = recurrence({ ...plain, features: 'elu+1', causal, eps: 0 });
      await expectBoth(linearAttention(q, k, v, { causal, returnState: true }), formulas, dtype);
      const goesOn = recurrence({ ...plain, features: 'elu+1', causal, eps: 0.01, state: past });
      const options = { causal, eps: 0.01, state: tensor(past, columns), returnState: true } as const;
      await expectBoth(linearAttention(q, k, v, options), goesOn, dtype);
    });

    test('given features, and padding by lengths and by marks', async () => {
      const sizes = shape(2, 4, 2, 11, 11, [6, 20]);
      const { q, k, v, plain } = operands(sizes, dtype);
      const positive = { q: plain.q.map(Math.abs), k: plain.k.map(Math.abs) };
      const put = (x: Tensor, values: Float32Array) => tensor(values, [...x.shape], { dtype });
      const [fq, fk] = [put(q, positive.q), put(k, positive.k)];
      const lengths = [4, 9];
      const marks = Uint8Array.from({ length: 22 }, (_, i) => Number(i % 3 !== 1));
      const paddings = [
        { padding: lengths, keeps: (b: number, t: number) => t < lengths[b]! },
        { padding: tensor(lengths, [2], { dtype: 'int32' }), keeps: (b: number, t: number) => t < lengths[b]! },
        { padding: tensor(marks, [2, 11]), keeps: (b: number, t: number) => marks[b * 11 + t] === 1 },
      ];
      for (const { padding, keeps } of paddings) {
        const formulas = recurrence({ ...plain, ...positive, causal, eps: 0, keeps });
        const options = { features: 'none', causal, padding, returnState: true } as const;
        await expectBoth(linearAttention(fq, fk, v, options), formulas, dtype);
      }
    });
  });

  const rules = ['linear', 'decay', 'decays', 'beta', 'sharedBeta', 'decay and beta', 'decays, beta and erase'];
  describe.each(rules)('recurrence with %s', (rule) => {
    test.each(withTokens)('%j', async (sizes) => {
      const all = operands(sizes, dtype);
      const has = (gate: string) => new RegExp(`\\b${gate}\\b`).test(rule);
      const pick = <T>(from: Record<string, T>) => ({
        decay: has('decay') ? from.decay : has('decays') ? from.decays : undefined,
        beta: has('beta') ? from.beta : has('sharedBeta') ? from.sharedBeta : undefined,
        erase: has('erase') ? from.erase : undefined,
      });
      const past = all.state(sizes.valueWidth);
      const given = pick<Tensor>({ ...all } as never);
      const plain = { ...all.plain, ...pick<Float32Array>(all.gates) };
      const state = tensor(past, [sizes.batch, sizes.kvHeads, sizes.keyWidth, sizes.valueWidth]);
      const fresh = recurrentAttention(all.q, all.k, all.v, { ...given, returnState: true });
      await expectBoth(fresh, recurrence(plain), dtype);
      const goesOn = recurrentAttention(all.q, all.k, all.v, { ...given, state, scale: 2, returnState: true });
      await expectBoth(goesOn, recurrence({ ...plain, state: past, scale: 2 }), dtype);
    });
  });

  test('the same bytes with any number of threads, alone, in chunks and of views', async () => {
    const sizes = shape(3, 4, 2, 50, 50, [24, 70]);
    const { q, k, v, decays, beta } = operands(sizes, dtype);
    const bytesOf = async (x: Tensor) => Buffer.from(await x.bytes());
    const part = (x: Tensor, b: number, begin: number, end: number) => x.slice(0, b, b + 1).slice(2, begin, end);
    const kinds: ((b: number, begin: number, end: number, state?: Tensor) => { output: Tensor; state: Tensor })[] = [
      (b, begin, end, state) => {
        const [a, c, d] = [q, k, v].map((x) => part(x, b, begin, end));
        return linearAttention(a!, c!, d!, { causal: true, state, returnState: true });
      },
      (b, begin, end, state) => {
        const [a, c, d, decay, rate] = [q, k, v, decays, beta].map((x) => part(x, b, begin, end));
        return recurrentAttention(a!, c!, d!, { decay, beta: rate, state, returnState: true });
      },
    ];
    const whole = [
      () => linearAttention(q, k, v, { causal: true, returnState: true }),
      () => recurrentAttention(q, k, v, { decay: decays, beta, returnState: true }),
    ];
    for (const [i, all] of whole.entries()) {
      const expected: Buffer[] = [];
      for (const threads of [1, 2, 4]) {
        setNumThreads(threads);
        const { output, state } = all();
        expected.push(Buffer.concat([await bytesOf(output.slice(0, 2, 3)), await bytesOf(state.slice(0, 2, 3))]));
        for (const size of [1, 7, 50]) {
          let past: Tensor | undefined;
          const outputs: Tensor[] = [];
          for (let t = 0; t < 50; t += size) {
            const step = kinds[i]!(2, t, Math.min(50, t + size), past);
            past = step.state;
            outputs.push(step.output.transpose(1, 2));
          }
          const tokens = Buffer.concat(await Promise.all(outputs.map(bytesOf)));
          expect(tokens.equals(await bytesOf(output.slice(0, 2, 3).transpose(1, 2)))).toBe(true);
          expect((await bytesOf(past!)).equals(await bytesOf(state.slice(0, 2, 3)))).toBe(true);
        }
      }
      for (const bytes of expected) expect(bytes.equals(expected[0]!)).toBe(true);
    }
    const fused = (x: Tensor) => tensorOf(x.transpose(1, 2)).then((y) => y.transpose(1, 2));
    const [a, b, c] = await Promise.all([q, k, v].map(fused));
    expect((await bytesOf(linearAttention(a!, b!, c!))).equals(await bytesOf(linearAttention(q, k, v)))).toBe(true);
  });
});

/** The same values, dense in x's own order. */
async function tensorOf(x: Tensor): Promise<Tensor> {
  return tensor(await x.data(), [...x.shape], { dtype: x.dtype });
}

test('what is not there is not looked at, and who sees nothing is 0', async () => {
  const [q, v] = [tensor([1, 2, 3, 4], [1, 1, 2, 2]), tensor([5, 6, NaN, NaN], [1, 1, 2, 2])];
  const k = tensor([1, 1, NaN, Infinity], [1, 1, 2, 2]);
  expect(await linearAttention(q, k, v, { padding: [1] }).data()).toEqual(Float32Array.of(5, 6, 5, 6));
  expect(await linearAttention(q, k, v, { padding: [0] }).data()).toEqual(new Float32Array(4));
  expect(await linearAttention(q, k, v, { padding: [0], eps: 1 }).data()).toEqual(new Float32Array(4));
  const recurrent = await recurrentAttention(q, k, v, { padding: [1], scale: 1 }).data();
  expect(recurrent).toEqual(Float32Array.of(15, 18, 35, 42));
});

describe('what does not fit is refused by name', () => {
  const floats = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const [q, k, v] = [floats(2, 4, 3, 8), floats(2, 2, 3, 8), floats(2, 2, 3, 5)];
  const half = tensor(new Float32Array(96), [2, 2, 3, 8], { dtype: 'float16' });
  const int32 = tensor(new Int32Array(96), [2, 2, 3, 8]);
  const both: [argument: string, q: unknown, k: unknown, v: unknown, options?: object][] = [
    ['q', undefined, k, v],
    ['q', floats(4, 3, 8), k, v],
    ['q', int32, k, v],
    ['k', q, undefined, v],
    ['k', q, half, v],
    ['k', q, floats(2, 2, 3, 7), v],
    ['k', q, floats(1, 2, 3, 8), v],
    ['v', q, k, undefined],
    ['v', q, k, floats(2, 2, 4, 5)],
    ['heads', floats(2, 3, 3, 8), k, v],
    ['heads', q, floats(2, 0, 3, 8), floats(2, 0, 3, 5)],
    ['padding', q, k, v, { padding: 3 }],
    ['padding[1]', q, k, v, { padding: [1, -1] }],
    ['padding', q, k, v, { padding: [1] }],
    ['padding', q, k, v, { padding: floats(2) }],
    ['padding', q, k, v, { padding: tensor(new Uint8Array(4), [2, 2]) }],
    ['state', q, k, v, { state: 1 }],
    ['state', q, k, v, { state: floats(2, 2, 8, 4) }],
    ['state', q, k, v, { state: tensor(new Float32Array(192), [2, 2, 8, 6], { dtype: 'bfloat16' }) }],
    ['returnState', q, k, v, { returnState: 1 }],
    ['mask', q, k, v, { mask: null }],
  ];
  const linear: typeof both = [
    ['features', q, k, v, { features: 'relu' }],
    ['causal', q, k, v, { causal: 1 }],
    ['eps', q, k, v, { eps: -1 }],
    ['eps', q, k, v, { eps: NaN }],
    ['decay', q, k, v, { decay: floats(2, 2, 3) }],
  ];
  const recurrent: typeof both = [
    ['q', floats(2, 4, 2, 8), k, v],
    ['decay', q, k, v, { decay: floats(2, 3, 2) }],
    ['decay', q, k, v, { decay: floats(2, 2, 3, 1) }],
    ['decay', q, k, v, { decay: half }],
    ['beta', q, k, v, { beta: floats(2, 4, 3) }],
    ['beta', q, k, v, { beta: [] }],
    ['erase', q, k, v, { erase: k }],
    ['erase', q, k, v, { beta: floats(2, 2, 3), erase: floats(2, 2, 3) }],
    ['scale', q, k, v, { scale: '1' }],
    ['scale', q, k, v, { scale: 1e39 }],
    ['features', q, k, v, { features: 'none' }],
  ];
  type Call = (...operands: unknown[]) => unknown;
  type Row = [name: string, argument: string, call: Call, operands: unknown[]];
  const rowsOf = (call: Call, table: typeof both) =>
    table.map(([argument, ...operands]): Row => [call.name, argument, call, operands]);
  const rows = [
    ...rowsOf(linearAttention as Call, [...both, ...linear]),
    ...rowsOf(recurrentAttention as Call, [...both, ...recurrent]),
  ];
  test.each(rows)('%s names %s', (name, argument, call, operands) => {
    const words = `${name.replace('Attention', '_?attention')}\\].*${argument.replace(/[[\]]/g, '\\$&')}`;
    expect(() => call(...operands)).toThrow(new RegExp(`\\[${words}`, 'i'));
    expect(() => call(...operands)).toThrow(/must|no meaning|unknown option/);
  });
});
