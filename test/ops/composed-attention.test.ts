import { attention, cosineAttention, linformerAttention, localAttention, mask, tensor, type Tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const [BATCH, HEADS, KV_HEADS, TOKENS, WIDTH, VALUE_WIDTH] = [2, 4, 2, 37, 12, 9];
const sizes = { batch: BATCH, heads: HEADS, kvHeads: KV_HEADS, queries: TOKENS, keyWidth: WIDTH };

function operands(dtype: (typeof FLOATS)[number]) {
  const random = new Random(1);
  const part = (heads: number, width: number) => rounded(random.normals(BATCH * heads * TOKENS * width), dtype);
  const [q, k, v] = [part(HEADS, WIDTH), part(KV_HEADS, WIDTH), part(KV_HEADS, VALUE_WIDTH)];
  const put = (x: Float32Array, heads: number) =>
    tensor(x, [BATCH, heads, TOKENS, x.length / (BATCH * heads * TOKENS)], { dtype });
  return { q, k, v, tensors: [put(q, HEADS), put(k, KV_HEADS), put(v, KV_HEADS)] as const, random };
}

describe.each(FLOATS)('%s', (dtype) => {
  test.each([
    ['one projection', 8, TOKENS, false],
    ['two of a longer sequence', 5, 50, true],
  ])('Linformer with %s', async (_, count, length, both) => {
    const { q, k, v, tensors, random } = operands(dtype);
    const projection = () => rounded(random.normals(count * length, 0.2), dtype);
    const e = projection();
    const f = both ? projection() : e;
    const put = (x: Float32Array) => tensor(x, [count, length], { dtype });
    const y = linformerAttention(...tensors, { keyProjection: put(e), valueProjection: both ? put(f) : undefined });
    expect([y.shape, y.dtype]).toEqual([[BATCH, HEADS, TOKENS, VALUE_WIDTH], dtype]);
    /** [B, Hkv, T, D] → [B, Hkv, K, D], rounded as linear's results are. */
    const project = (x: Float32Array, w: Float32Array, width: number, round: naive.Round, store: naive.Round) =>
      Array.from({ length: BATCH * KV_HEADS * count * width }, (_, at) => {
        const [head, i, d] = [Math.floor(at / width / count), Math.floor(at / width) % count, at % width];
        let sum = 0;
        for (let t = 0; t < TOKENS; ++t) {
          sum = round(sum + round(w[i * length + t]! * x[(head * TOKENS + t) * width + d]!));
        }
        return store(sum);
      });
    const formula: naive.Formula = (round, store) =>
      naive.attention(
        {
          ...{ ...sizes, q, keys: count, valueWidth: VALUE_WIDTH },
          k: project(k, e, WIDTH, round, store),
          v: project(v, f, VALUE_WIDTH, round, store),
        },
        round,
        store,
      );
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
  });

  test.each([1, 5, 8, 37, 100])('blocks of %i see themselves and their neighbours', async (blockSize) => {
    const { tensors } = operands(dtype);
    const marks = (causal: boolean) =>
      Uint8Array.from({ length: TOKENS * TOKENS }, (_, at) => {
        const [i, j] = [Math.floor(at / TOKENS), at % TOKENS];
        const near = Math.abs(Math.floor(i / blockSize) - Math.floor(j / blockSize)) <= 1;
        return Number(near && (!causal || j <= i));
      });
    for (const causal of [false, true]) {
      const dense = mask.dense(tensor(marks(causal), [1, 1, TOKENS, TOKENS]));
      const y = localAttention(...tensors, { blockSize, causal, scale: 0.3 });
      expect(await y.bytes()).toEqual(await attention(...tensors, { mask: dense, scale: 0.3 }).bytes());
    }
  });

  test('cosine attention', async () => {
    const { q, k, v, tensors } = operands(dtype);
    q.fill(0, 0, WIDTH); // a vector without a direction
    const first = tensor(q, [...tensors[0].shape], { dtype });
    const unit = (x: Float32Array, f: naive.Round, store: naive.Round) =>
      naive.byRow(x, WIDTH, (row) => {
        const length = f(Math.sqrt(Array.from(row).reduce((sum, one) => f(sum + f(one * one)), 0)));
        return Array.from(row, (one) => store(length === 0 ? 0 : f(f(one / length) * Math.sqrt(WIDTH))));
      });
    const formula: naive.Formula = (f, store) => {
      const shape = { ...sizes, keys: TOKENS, valueWidth: VALUE_WIDTH, v, scale: 10 / WIDTH, causal: true };
      return naive.attention({ ...shape, q: unit(q, f, store), k: unit(k, f, store) }, f, store);
    };
    const y = cosineAttention(first, tensors[1], tensors[2], { scale: 10, mask: mask.causal() });
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
  });
});

const q = tensor(new Float32Array(24), [1, 2, 3, 4]);
const e = tensor(new Float32Array(6), [2, 3]);
const linformer = (options: unknown) => () => linformerAttention(q, q, q, options as never);
const local =
  (options: unknown, k: Tensor = q) =>
  () =>
    localAttention(q, k, k, options as never);
const cosine = (options: unknown) => () => cosineAttention(q, q, q, options as never);
const wrong: [name: string, argument: string, call: () => unknown][] = [
  ['linformerAttention', 'keyProjection', linformer(undefined)],
  ['linformerAttention', 'keyProjection', linformer({ keyProjection: e.transpose() })],
  ['linformerAttention', 'valueProjection', linformer({ keyProjection: e, valueProjection: q })],
  ['linformerAttention', 'mask', linformer({ keyProjection: e, mask: mask.causal() })],
  ['linformerAttention', 'k', () => linformerAttention(q, e, q, { keyProjection: e })],
  ['localAttention', 'blockSize', local(undefined)],
  ['localAttention', 'blockSize', local({ blockSize: 0 })],
  ['localAttention', 'causal', local({ blockSize: 1, causal: 1 })],
  ['localAttention', 'k', local({ blockSize: 1 }, tensor(new Float32Array(16), [1, 2, 2, 4]))],
  ['cosineAttention', 'scale', cosine({})],
  ['cosineAttention', 'scale', cosine({ scale: NaN })],
  ['cosineAttention', 'mask', cosine({ scale: 1, mask: 'causal' })],
  ['cosineAttention', 'q', () => cosineAttention(e, q, q, { scale: 1 })],
];
test.each(wrong)('%s names %s', (name, argument, call) => {
  expect(call).toThrow(new RegExp(`\\[${name}\\].*${argument}`));
  expect(call).toThrow(/must|unknown option/);
});
