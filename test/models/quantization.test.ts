import { existsSync, readdirSync } from 'node:fs';
import * as path from 'node:path';
import { defaultDevice, embedding, loadModel, packWeight, tensor, type Model, Tensor, type QuantizedDType } from '#lib/index';
import { SafetensorsFile } from '#lib/weights/safetensors';
import { fixtures } from '../support/fixtures';

const QUANTIZED: QuantizedDType[] = ['int8', 'int4'];
const device = defaultDevice();
const TEXT = 'ROMEO:\nBut, soft! what light through yonder window breaks?\nIt is the east, and Juliet is the sun.\n';
/** Of perplexity; on this short text it may gain as well. */
const LOST: Record<QuantizedDType, number> = { int8: 0.02, int4: 0.1 };

describe.each(QUANTIZED)('%s', (quantize) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel('builtin:shakespeare', { quantize, device, dtype: 'float32' });
  });
  afterAll(() => model.dispose());

  test('the report: each weight, and a text before and after', async () => {
    const report = await model.quantizationReport({ text: TEXT });
    expect(report.weights.map(({ path }) => path)).toEqual(
      ['tokens', ...[0, 1, 2].flatMap((i) => ['attention.qkv', 'attention.output', 'feedForward.up', 'feedForward.down'].map((part) => `layers.${i}.${part}`))].map((one) => `${one}.weight`),
    );
    for (const { dtype, relativeError } of report.weights) {
      expect(dtype).toBe(quantize);
      expect(relativeError).toBeGreaterThan(0.001);
      expect(relativeError).toBeLessThan({ int8: 0.02, int4: 0.11 }[quantize]);
    }
    const { before, after } = report.perplexity!;
    expect(Math.abs(after / before - 1)).toBeLessThan(LOST[quantize]);
    await using plain = await loadModel('builtin:shakespeare', { device, dtype: 'float32' });
    expect(before).toBe((await plain.score(TEXT)).perplexity);
    expect(after).toBe((await model.score(TEXT)).perplexity);
    expect(await plain.quantizationReport()).toEqual({ weights: [], relativeError: 0 });
  });

  test('info tells its bytes', () => {
    const info = model.info();
    expect([info.quantize, info.dtype]).toEqual([quantize, 'float32']);
    expect(info.weightBytes / info.parameters.total).toBeLessThan({ int8: 1.3, int4: 0.9 }[quantize]);
  });

  test('the same text alone, in a batch, and on a second load, which shares the weights', async () => {
    const options = { maxNewTokens: 40, temperature: 0.8, seed: 3 };
    const alone = await model.generate('JULIET:\n', options);
    const greedy = { maxNewTokens: 40, doSample: false };
    const [, second] = await model.generate(['ROMEO:\nWhat', 'JULIET:\n'], greedy);
    expect(second!.text).toBe((await model.generate('JULIET:\n', greedy)).text);
    await using again = await loadModel('builtin:shakespeare', { quantize, device, dtype: 'float32' });
    expect((await again.generate('JULIET:\n', options)).text).toBe(alone.text);
  });

  test('activations and cache of bfloat16', async () => {
    await using halves = await loadModel('builtin:shakespeare', { quantize, dtype: 'bfloat16', device });
    expect(halves.dtype).toBe('bfloat16');
    const [a, b] = [(await halves.score(TEXT)).perplexity, (await model.score(TEXT)).perplexity];
    expect(Math.abs(a / b - 1)).toBeLessThan(0.02);
  });
});

test.each(QUANTIZED)('%s: a weight that is read has the bytes of one that is packed, transposed too', async (quantize) => {
  using file = new SafetensorsFile('models/shakespeare/model.safetensors', device);
  const name = 'transformer.h.0.mlp.c_fc.weight'; // [192, 608] in the file
  const meaning = async (packed: Tensor) => {
    using rows = embedding(packed, tensor(Int32Array.from({ length: packed.shape[0]! }, (_, i) => i)));
    return await rows.data();
  };
  for (const transposed of [false, true]) {
    using dense = file.load(name, { transposed });
    using packed = packWeight(dense, { quantize });
    using read = file.load(name, { transposed, packed: true, dtype: quantize });
    expect(read.shape).toEqual(packed.shape);
    expect(await meaning(read)).toEqual(await meaning(packed));
  }
  expect(() => file.load(name, { dtype: quantize })).toThrow('must be packed to be quantized');
});

// Small random models: what matters is that every family finds its way, weights that lie transposed too.
const folder = path.join(fixtures, 'models');
const families = existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('nn-')) : [];
test.each(families)('%s in int8: errors of the order of those of bfloat16', async (name) => {
  const place = path.join(folder, name);
  await using plain = await loadModel(place, { device, dtype: 'float32' });
  await using quantized = await loadModel(place, { quantize: 'int8', device, dtype: 'float32' });
  const ids = Int32Array.from({ length: 9 }, (_, i) => 5 + ((i * 7) % 40));
  const results = async (model: Model) => {
    const isPair = model.config.is_encoder_decoder === true;
    const given = model.forward(isPair ? { ids: [...ids], decoderIds: [...ids] } : { ids: [...ids] });
    const [first] = Object.values(given).filter((value): value is Tensor => value instanceof Tensor);
    return (await first!.data()).filter((x) => Number.isFinite(x)); // Marian never gives its padding
  };
  await using halves = await loadModel(place, { dtype: 'bfloat16', device });
  const [a, b, c] = [await results(plain), await results(quantized), await results(halves)];
  const square = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0);
  const error = (values: Float32Array) => Math.sqrt(square(a.map((x, i) => x - values[i]!)));
  // Weights have 8 bits as those do, but one scale a row; and x is rounded, too.
  expect(error(b)).toBeLessThan(10 * error(c));
  expect(b).not.toEqual(a);
});

test.each([
  [{ quantize: 'int2' }, "quantize must be one of int8, int4 but got 'int2'"],
  [{ quantize: 8 }, 'quantize must be one of int8, int4 but got 8'],
])('loadModel refuses %j', async (options, message) => {
  await expect(loadModel('builtin:shakespeare', options as never)).rejects.toThrow(message.replaceAll("'", '"'));
});

test('the report refuses what it does not know', async () => {
  await using model = await loadModel('builtin:shakespeare', { device, dtype: 'float32' });
  await expect(model.quantizationReport({ texts: '' } as never)).rejects.toThrow('[Model.quantizationReport]');
  await expect(model.quantizationReport({ text: 1 as never })).rejects.toThrow('text must be a string but got 1');
  await expect(model.quantizationReport({ signal: AbortSignal.abort() , text: 'To be' })).rejects.toThrow('abort');
});
