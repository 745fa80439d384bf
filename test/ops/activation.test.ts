import { activation, gated, silu, tensor, type Activation } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const names = Object.keys(naive.activations) as Activation[];
const counts = [1, 16, 17, 300];
const put = (values: Float32Array, shape: number[], dtype: (typeof FLOATS)[number]) => tensor(values, shape, { dtype });

describe.each(FLOATS)('%s', (dtype) => {
  const several = ['mish', 40000] as const; // tiles
  const cases = [...names.flatMap((name) => counts.map((count) => [name, count] as const)), several];
  test.each(cases)('%s of %i elements', async (name, count) => {
    const x = rounded(new Random(count).normals(count, 3), dtype);
    using y = activation(put(x, [count], dtype), name);
    expect([y.shape, y.dtype]).toEqual([[count], dtype]);
    const formula = (f: naive.Round) => Array.from(x, (value) => naive.activations[name](value, f));
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
  });

  test.each(names)('%s of numbers of every size', async (name) => {
    const x = rounded(
      Array.from({ length: 600 }, (_, i) => (i % 2 ? -1 : 1) * 2 ** (i / 50 - 8)),
      dtype,
    ).filter((value) => Math.abs(value) < 100 || !name.includes('2'));
    const y = await activation(put(x, [x.length], dtype), name).data();
    // Where the results are small on one side, they are compared alone.
    for (const side of [(v: number) => v > 0, (v: number) => v < 0]) {
      const formula = (f: naive.Round) => Array.from(x.filter(side), (value) => naive.activations[name](value, f));
      const actual = y.filter((_, i) => side(x[i]!));
      naive.expectAsGoodAsPlain(actual, formula, undefined, dtype);
    }
  });

  test.each(names)('gated with %s', async (name) => {
    const random = new Random(5);
    const [gate, up] = [rounded(random.normals(7 * 99, 2), dtype), rounded(random.normals(7 * 99), dtype)];
    const rows = (values: Float32Array) => put(values, [7, 99], dtype);
    using y = gated(rows(gate), rows(up), { activation: name });
    expect([y.shape, y.dtype]).toEqual([[7, 99], dtype]);
    const formula = (f: naive.Round) => Array.from(gate, (value, i) => f(naive.activations[name](value, f) * up[i]!));
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
    const across = gated(rows(gate).transpose(), rows(up).transpose(), { activation: name });
    expect(await across.transpose().data()).toEqual(await y.data());
  });

  test('silu with an alpha', async () => {
    const x = rounded(new Random(7).normals(333, 3), dtype);
    const y = await silu(put(x, [333], dtype), { alpha: 1.702 }).data();
    const formula = (f: naive.Round) => Array.from(x, (value) => naive.activations.quick_gelu(value, f));
    naive.expectAsGoodAsPlain(y, formula, undefined, dtype);
    expect(await silu(put(x, [333], dtype), { alpha: 0 }).data()).toEqual(
      rounded(
        x.map((value) => value / 2),
        dtype,
      ),
    );
  });

  const limits: Partial<Record<Activation, [high: number, low: number]>> = {
    relu: [Infinity, 0],
    relu2: [Infinity, 0],
    relu6: [6, 0],
    gelu_10: [10, NaN],
    tanh: [1, -1],
    sigmoid: [1, 0],
    laplace: [1, 0],
    leaky_relu: [Infinity, -Infinity],
    elu: [Infinity, -1],
    softplus: [Infinity, 0],
  };
  test.each(names)('%s: NaN stays, and infinities have their limits', async (name) => {
    const [nan, high, low] = await activation(put(Float32Array.of(NaN, Infinity, -Infinity), [3], dtype), name).data();
    const [above, below] = limits[name] ?? [Infinity, low];
    expect([nan, high]).toEqual([NaN, above]);
    if (Number.isFinite(below)) expect(low).toBe(below);
  });
});
