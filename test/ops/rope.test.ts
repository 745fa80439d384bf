import { rope, tensor } from 'heddle';
import { rotaryFactor, rotaryFrequencies, type RotaryScaling } from '#lib/nn/rotary';
import { FLOATS, rounded } from '../support/dtype';
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
