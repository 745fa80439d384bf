import { cast, concat, rope, rotate, tensor } from 'heddle';
import { rotaryFactor, rotaryFrequencies, type RotaryScaling } from '#lib/nn/rotary';
import { FLOATS, rounded, ulp } from '../support/dtype';
import { expectAsGoodAsPlain, type Round } from '../support/naive';
import { Random } from '../support/random';

describe.each(FLOATS)('%s: rotation', (dtype) => {
  test.each([
    [16, 8, false],
    [16, 8, true],
    [20, 5, false],
    [7, 2, true],
    [1, 0, false],
  ])('heads of %i, %i pairs, interleaved %p', async (width, pairs, interleaved) => {
    const [tokens, heads] = [9, 3];
    const x = rounded(new Random(1).normals(tokens * heads * width), dtype);
    const positions = Int32Array.from({ length: tokens }, (_, i) => i * i * 7);
    const frequencies = Float32Array.from({ length: pairs }, (_, i) => 0.1 ** i);
    const formula = (f: Round) => {
      const out = Array.from(x);
      for (let n = 0; n < tokens; ++n) {
        for (let h = 0; h < heads; ++h) {
          for (let i = 0; i < pairs; ++i) {
            const row = (n * heads + h) * width;
            const [a, b] = interleaved ? [row + 2 * i, row + 2 * i + 1] : [row + i, row + i + pairs];
            const angle = Math.fround(positions[n]! * frequencies[i]!);
            const [cosine, sine] = [f(1.5 * f(Math.cos(angle))), f(1.5 * f(Math.sin(angle)))];
            out[a] = f(f(x[a]! * cosine) - f(x[b]! * sine));
            out[b] = f(f(x[b]! * cosine) + f(x[a]! * sine));
          }
        }
      }
      return out;
    };
    const y = rope(tensor(x, [tokens, heads, width], { dtype }), tensor(positions), tensor(frequencies), {
      factor: 1.5,
      interleaved,
    });
    expect(y.dtype).toBe(dtype);
    expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
  });

  test('what does not fit is refused by name', () => {
    const x = tensor(new Float32Array(24), [2, 3, 4]);
    const positions = tensor(new Int32Array(2));
    const frequencies = tensor(new Float32Array(2));
    expect(() => rope(x, tensor(new Int32Array(3)), frequencies)).toThrow(/\[rope\] positions/);
    expect(() => rope(x, positions, tensor(new Float32Array(3)))).toThrow(/\[rope\] frequencies/);
    expect(() => rope(x, positions, frequencies, { factor: NaN })).toThrow(RangeError);
    expect(() => rope(x, positions, positions)).toThrow(TypeError);
  });
});

test('cosines and sines within 2 ulp, of small angles, next to multiples of π/2, and large ones', async () => {
  const random = new Random(3);
  const positions = Int32Array.from([0, 1, -1, 3, 1000, 131_071, 262_144, 1e6, -1e7, 2 ** 31 - 1]);
  const frequencies = Float32Array.from([
    ...Array.from({ length: 60 }, (_, i) => 10_000 ** (-i / 60)),
    ...Array.from({ length: 60 }, () => (random.integer(166_000) * Math.PI) / 2),
    ...[1e-40, -0.7853982, 262_143.97, 262_144.03, Infinity, NaN],
  ]);
  const pairs = frequencies.length;
  const unit = Float32Array.from({ length: positions.length * 2 * pairs }, (_, i) => (i % (2 * pairs) < pairs ? 1 : 0));
  const x = tensor(unit, [positions.length, 1, 2 * pairs]);
  const y = await rope(x, tensor(positions), tensor(frequencies)).data();
  let most = 0;
  positions.forEach((position, n) =>
    frequencies.forEach((frequency, i) => {
      const angle = Math.fround(Math.fround(position) * frequency);
      for (const [at, expected] of [
        [i, Math.cos(angle)],
        [pairs + i, Math.sin(angle)],
      ] as const) {
        const actual = y[n * 2 * pairs + at]!;
        if (Number.isNaN(expected)) expect(actual).toBeNaN();
        else most = Math.max(most, Math.abs(actual - expected) / ulp(expected, 'float32'));
      }
    }),
  );
  expect(most).toBeLessThanOrEqual(2);
});

describe.each(FLOATS)('%s: rotation by tables', (dtype) => {
  const [batch, heads, tokens] = [2, 3, 5];
  test.each([
    [16, 8, false, 'positions'],
    [16, 8, true, 'positions'],
    [20, 5, false, 'one table'],
    [7, 2, true, 'a table for each'],
    [64, 32, false, 'a table for each'],
    [1, 0, false, 'one table'],
  ])('heads of %i, %i pairs, interleaved %p, %s', async (width, pairs, interleaved, kind) => {
    const random = new Random(width);
    const x = rounded(random.normals(batch * heads * tokens * width), dtype);
    const rows = { positions: 9, 'one table': tokens, 'a table for each': batch * tokens }[kind]!;
    const [cosines, sines] = [random.normals(rows * pairs), random.normals(rows * pairs)];
    const positions = Int32Array.from({ length: batch * tokens }, () => random.integer(rows));
    const shape = kind === 'a table for each' ? [batch, tokens, pairs] : [rows, pairs];
    const rowOf = (b: number, t: number) =>
      kind === 'positions' ? positions[b * tokens + t]! : kind === 'one table' ? t : b * tokens + t;
    const formula = (f: Round) => {
      const out = Array.from(x);
      for (let at = 0; at < batch * heads * tokens; ++at) {
        const row = rowOf(Math.floor(at / (heads * tokens)), at % tokens);
        for (let i = 0; i < pairs; ++i) {
          const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + pairs];
          const [c, s] = [cosines[row * pairs + i]!, sines[row * pairs + i]!];
          const [p, q] = [x[at * width + a]!, x[at * width + b]!];
          out[at * width + a] = f(f(p * c) - f(q * s));
          out[at * width + b] = f(f(q * c) + f(p * s));
        }
      }
      return out;
    };
    const input = tensor(x, [batch, heads, tokens, width], { dtype });
    const options = { interleaved, positions: kind === 'positions' ? tensor(positions, [batch, tokens]) : undefined };
    const y = rotate(input, tensor(cosines, shape), tensor(sines, shape), options);
    expect([y.dtype, y.shape]).toEqual([dtype, [batch, heads, tokens, width]]);
    expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
    // Of tokens that have their heads together, and in the middle of a fused projection.
    const fused = concat([input.transpose(1, 2), input.transpose(1, 2)], { axis: 2 }).slice(2, heads, 2 * heads);
    const same = rotate(fused.transpose(1, 2), tensor(cosines, shape), tensor(sines, shape), options);
    expect(await same.data()).toEqual(await y.data());
  });

  test('tables of halves are those numbers', async () => {
    const random = new Random(2);
    const x = tensor(random.normals(24), [1, 2, 3, 4], { dtype });
    const table = () => tensor(random.normals(6), [3, 2], { dtype });
    const [cos, sin] = [table(), table()];
    const wide = rotate(x, cast(cos, 'float32'), cast(sin, 'float32'));
    expect(await rotate(x, cos, sin).data()).toEqual(await wide.data());
  });
});

test('tables that do not fit are refused, and positions that they have not make the result fail', async () => {
  const x = tensor(new Float32Array(48), [2, 2, 3, 4]);
  const table = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const positions = (...values: number[]) => tensor(Int32Array.from(values), [2, 3]);
  expect(() => rotate(x.reshape([4, 3, 4]), table(3, 2), table(3, 2))).toThrow(/\[rotate\] x must have 4 axes/);
  expect(() => rotate(x, table(4, 2), table(4, 2))).toThrow(/\[rotate\] cos must have shape \[3, 2\]/);
  expect(() => rotate(x, table(3, 2), table(3, 1))).toThrow(/\[rotate\] sin must have shape \[3, 2\]/);
  expect(() => rotate(x, table(3, 3), table(3, 3))).toThrow(/too many pairs for heads of width 4/);
  expect(() => rotate(x, table(2, 3, 2), table(2, 3, 2), { positions: positions(0, 0, 0, 0, 0, 0) })).toThrow(/cos/);
  expect(() => rotate(x, table(9, 2), table(9, 2), { positions: tensor(new Int32Array(6)) })).toThrow(/positions/);
  for (const wrong of [9, -1]) {
    const out = rotate(x, table(9, 2), table(9, 2), { positions: positions(0, 8, 0, 1, wrong, 2) });
    await expect(out.data()).rejects.toMatchObject({
      code: 'INDEX_OUT_OF_RANGE',
      message: `[rotate] positions[1, 1] must be in [0, 9) but got ${wrong}`,
    });
  }
});

test('YaRN’s factor: given, by rule, and none without stretching', () => {
  const yarn = (factor: number, attentionFactor?: number): RotaryScaling => ({
    kind: 'yarn',
    factor,
    trainedPositions: 128,
    betaFast: 32,
    betaSlow: 1,
    attentionFactor,
  });
  expect(rotaryFactor(yarn(4))).toBeCloseTo(1 + 0.1 * Math.log(4), 12);
  expect(rotaryFactor(yarn(4, 1.1))).toBe(1.1);
  expect(rotaryFactor(yarn(1))).toBe(1);
  expect(rotaryFactor({ kind: 'default' })).toBe(1);
  expect(rotaryFrequencies({ base: 100, rotaryWidth: 4, scaling: { kind: 'linear', factor: 2 } })).toEqual([0.5, 0.05]);
});
