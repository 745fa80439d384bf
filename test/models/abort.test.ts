import { loadModel, memory, sync, type Model } from 'heddle';

describe('ending generation early', () => {
  let model: Model;
  beforeEach(async () => {
    model = await loadModel('builtin:shakespeare');
  });
  afterEach(() => model.dispose());

  const long = 'O Romeo, Romeo! wherefore art thou Romeo?\n'.repeat(5);

  test('an aborted signal, before and while', async () => {
    const reason = new Error('enough');
    await expect(model.generate(long, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const running = model.generate(Array.from({ length: 8 }, () => long), { signal: controller.signal });
    setImmediate(() => {
      controller.abort(reason);
    });
    await expect(running).rejects.toBe(reason);
    await sync(); // an abort is nobody's failure
    expect((await model.generate('ROMEO:', { maxNewTokens: 3 })).tokens).toHaveLength(3);
  });

  test('during a prompt in chunks', async () => {
    const controller = new AbortController();
    const running = model.generate(long, { signal: controller.signal, prefillChunkSize: 1 });
    setTimeout(() => {
      controller.abort();
    }, 2);
    await expect(running).rejects.toThrow(/abort/i);
  });

  test('while nothing runs', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const pieces = model.stream('ROMEO:', { maxNewTokens: 200, eosTokenId: null, signal: controller.signal });
    const all = async () => {
      for await (const { tokens } of pieces) {
        expect(tokens).not.toHaveLength(0);
        if (controller.signal.aborted) continue;
        await sync(); // the loops that were queued have come to their ends
        controller.abort(reason);
      }
    };
    await expect(all()).rejects.toBe(reason);
  });

  test('dispose() between pieces', async () => {
    const pieces = model.stream('ROMEO:', { maxNewTokens: 200, eosTokenId: null });
    await pieces.next();
    await sync();
    await model.dispose();
    const rest = async () => {
      for await (const { tokens } of pieces) expect(tokens).not.toHaveLength(0);
    };
    await expect(rest()).rejects.toThrow('disposed');
  });

  test('leaving the loop frees what it held', async () => {
    const before = memory().live;
    for await (const piece of model.stream(long)) if (piece.tokens.length > 0) break;
    expect(memory().live).toBeLessThanOrEqual(before);
  });

  test('stop strings', async () => {
    const whole = await model.generate('ROMEO:\n', { maxNewTokens: 100, seed: 3 });
    const stop = whole.text.slice(40, 44);
    const cut = whole.text.slice(0, whole.text.indexOf(stop));
    const result = await model.generate('ROMEO:\n', { maxNewTokens: 100, seed: 3, stopStrings: ['never so', stop] });
    expect(result).toMatchObject({ text: cut, finishReason: 'stop' });
    let streamed = '';
    for await (const piece of model.stream('ROMEO:\n', { maxNewTokens: 100, seed: 3, stopStrings: stop })) {
      streamed += piece.text;
    }
    expect(streamed).toBe(cut);
  });

  test('dispose() while generating', async () => {
    const running = model.generate(long);
    const outcome = expect(running).rejects.toThrow('disposed');
    await model.dispose();
    await outcome;
    await expect(model.generate('x')).rejects.toThrow(TypeError);
  });

  test('two at once', async () => {
    const options = { maxNewTokens: 200, doSample: false };
    const alone = await model.generate('ROMEO:\n', options);
    const [a, b] = await Promise.all([model.generate('ROMEO:\n', options), model.generate('JULIET:\n', options)]);
    expect(a).toEqual(alone);
    expect(b.tokens).toHaveLength(200);
  });
});

test('a load that is aborted leaves nothing behind', async () => {
  const before = memory().live;
  const controller = new AbortController();
  const loading = loadModel('builtin:shakespeare', {
    signal: controller.signal,
    onProgress: ({ loaded, total }) => {
      expect(loaded).toBeLessThanOrEqual(total);
      controller.abort();
    },
  });
  await expect(loading).rejects.toThrow(/abort/i);
  await sync();
  expect(memory().live).toBeLessThanOrEqual(before);
});

test('onProgress reaches the total', async () => {
  const seen: number[] = [];
  let all = 0;
  const model = await loadModel('builtin:shakespeare', {
    onProgress: ({ loaded, total }) => {
      seen.push(loaded);
      all = total;
    },
  });
  await model.dispose();
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.at(-1)).toBe(all);
});
