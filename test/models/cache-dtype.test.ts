import { defaultDevice, loadModel, type CacheDType, type Model } from '#lib/index';

const OPTIONS = { device: defaultDevice(), dtype: 'float32' } as const;
const SMALLER: CacheDType[] = ['int8', 'bfloat16', 'float16'];
const TEXT = 'ROMEO:\nBut, soft! what light through yonder window breaks?\nIt is the east, and Juliet is the sun.\n';
/** Of a key or a value of `width` numbers. */
const bytesOf = (dtype: CacheDType, width: number) => (dtype === 'int8' ? width + 4 : 2 * width);

describe.each(SMALLER)('a cache of %s', (cacheDtype) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel('builtin:shakespeare', { ...OPTIONS, cacheDtype });
  });
  afterAll(() => model.dispose());

  test('info tells its bytes', () => {
    const { numLayers, numKvHeads, headDim, cacheBytesPerToken, dtype, cacheDtype: told } = model.info();
    expect([dtype, told]).toEqual(['float32', cacheDtype]);
    expect(cacheBytesPerToken).toBe(2 * numLayers * numKvHeads * bytesOf(cacheDtype, headDim));
  });

  test('costs little: perplexity', async () => {
    await using plain = await loadModel('builtin:shakespeare', OPTIONS);
    const [before, after] = [await plain.score(TEXT), await model.score(TEXT)];
    expect(after.perplexity).not.toBe(before.perplexity);
    expect(Math.abs(after.perplexity / before.perplexity - 1)).toBeLessThan(0.005);
  });

  test('the same text alone, in a batch, in a session that forks, and with beams', async () => {
    const greedy = { maxNewTokens: 70, doSample: false };
    const alone = await model.generate('JULIET:\n', greedy);
    const [, second] = await model.generate(['ROMEO:\nWhat', 'JULIET:\n'], greedy);
    expect(second!.text).toBe(alone.text);
    using session = model.session();
    const first = await session.generate('JULIET:\n', { ...greedy, maxNewTokens: 40 });
    using fork = session.fork();
    const rest = { ...greedy, maxNewTokens: 30 };
    expect(first.text + (await fork.generate('', rest)).text).toBe(alone.text);
    expect(first.text + (await session.generate('', rest)).text).toBe(alone.text);
    const beams = { maxNewTokens: 30, numBeams: 3, doSample: false };
    const [, twin] = await model.generate(['ROMEO:\nWhat', 'JULIET:\n'], beams);
    expect(twin!.text).toBe((await model.generate('JULIET:\n', beams)).text);
  });

  test('keys of a source, too', async () => {
    await using dates = await loadModel('builtin:dates', { ...OPTIONS, cacheDtype });
    const written = ['May 3, 1999', '12th of December 2024'];
    const read = await dates.generate(written, { maxNewTokens: 16 });
    expect(read.map(({ text }) => text)).toEqual(['1999-05-03', '2024-12-12']);
  });
});

test('a report on quantizing keeps the cache as it is', async () => {
  await using quantized = await loadModel('builtin:shakespeare', { ...OPTIONS, quantize: 'int8', cacheDtype: 'int8' });
  await using plain = await loadModel('builtin:shakespeare', { ...OPTIONS, cacheDtype: 'int8' });
  const { perplexity } = await quantized.quantizationReport({ text: TEXT });
  expect(perplexity!.before).toBe((await plain.score(TEXT)).perplexity);
  expect(perplexity!.after).toBe((await quantized.score(TEXT)).perplexity);
});

test('int8 beside halves', async () => {
  await using model = await loadModel('builtin:shakespeare', { ...OPTIONS, cacheDtype: 'int8', dtype: 'bfloat16' });
  await using plain = await loadModel('builtin:shakespeare', { ...OPTIONS, dtype: 'bfloat16' });
  const [after, before] = [await model.score(TEXT), await plain.score(TEXT)];
  expect(Math.abs(after.perplexity / before.perplexity - 1)).toBeLessThan(0.01);
});

test.each([
  [{ cacheDtype: 'int4' }, 'cacheDtype must be one of float32, float16, bfloat16, int8 but got "int4"'],
  [{ cacheDtype: 'bfloat16', dtype: 'float16' }, `cacheDtype must be float16, as activations are, or 'int8' but got "bfloat16"`],
  [{ cacheDtype: 'float32', dtype: 'bfloat16' }, `cacheDtype must be bfloat16, as activations are, or 'int8' but got "float32"`],
])('loadModel refuses %j', async (options, message) => {
  await expect(loadModel('builtin:shakespeare', options as never)).rejects.toThrow(message);
});
