import { gated, relu, silu, tensor, type Activation } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const counts = [1, 15, 16, 17, 1000, 40000];

describe.each(FLOATS)('%s', (dtype) => {
  const plain = { silu, relu };
  const cases = (Object.keys(plain) as (keyof typeof plain)[]).flatMap((name) =>
    counts.map((count) => [name, count] as const),
  );
  test.each(cases)('%s of %i elements', async (name, count) => {
    const x = rounded(new Random(count).normals(count, 3), dtype);
    using y = plain[name](tensor(x, [count], { dtype }));
    expect([y.shape, y.dtype]).toEqual([[count], dtype]);
    const formula = (f: naive.Round) => Array.from(x, (value) => naive.activations[name]!(value, f));
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
  });

  const activations: Activation[] = ['linear', 'gelu', 'gelu_new', 'silu', 'relu'];
  test.each(activations)('gated with %s', async (activation) => {
    const random = new Random(5);
    const [gate, up] = [rounded(random.normals(7 * 99, 2), dtype), rounded(random.normals(7 * 99), dtype)];
    const put = (values: Float32Array) => tensor(values, [7, 99], { dtype });
    using y = gated(put(gate), put(up), { activation });
    expect([y.shape, y.dtype]).toEqual([[7, 99], dtype]);
    const formula = (f: naive.Round) =>
      Array.from(gate, (value, i) => f(naive.activations[activation]!(value, f) * up[i]!));
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
    const across = gated(put(gate).transpose(), put(up).transpose(), { activation });
    expect(await across.transpose().data()).toEqual(await y.data());
  });

  test('NaN stays, and infinities have their limits', async () => {
    const x = tensor([NaN, Infinity, -Infinity], [3], { dtype });
    expect(await relu(x).data()).toEqual(Float32Array.of(NaN, Infinity, 0));
    expect((await silu(x).data()).slice(0, 2)).toEqual(Float32Array.of(NaN, Infinity));
  });
});
