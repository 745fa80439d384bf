import { readFileSync } from 'node:fs';
import path from 'node:path';
import { argmax, bias, logSoftmax, mask, nn, scope, tensor, type Activation, type Mask, type Tensor } from '#lib/index';
import { SafetensorsFile } from '#lib/weights/safetensors';
import { expectClose, MODELS } from '../support/compare';
import { Fixture, fixtureNames, fixtures } from '../support/fixtures';
import { Random } from '../support/random';

interface Config {
  model_type: string;
  d_model: number;
  nhead: number;
  num_encoder_layers: number;
  num_decoder_layers: number;
  dim_feedforward: number;
  activation: Activation;
  norm_first: boolean;
  layer_norm_eps: number;
  src_vocab_size: number;
  tgt_vocab_size: number;
  max_position_embeddings: number;
}
type Rows = number[][];
interface Cases {
  forward: {
    name: string;
    inputs: { src: Rows; tgt: Rows; attention_mask?: Rows; decoder_attention_mask?: Rows };
    outputs: Record<string, { shape: number[]; noise?: number }>;
  }[];
  generate: { name: string; inputs: { src: Rows }; params: Record<string, number | null>; sequences: Rows }[];
}

const int32 = (rows: Rows) => tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
const realTokens = (rows: Rows | undefined): Mask | undefined =>
  rows && mask.dense(tensor(Uint8Array.from(rows.flat()), [rows.length, 1, 1, rows[0]!.length]));

/** nn.Transformer between scaled embeddings with sinusoids and an output layer, as the fixtures' notes say. */
function modelOf(folder: string) {
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as Config;
  using file = new SafetensorsFile(path.join(folder, 'model.safetensors'));
  const source = nn.parameters(Object.fromEntries([...file.entries.keys()].map((name) => [name, file.load(name)])));
  const width = config.d_model;
  const embeddingOf = (side: 'src' | 'tgt') =>
    new nn.TokenEmbedding(source, `${side}_embed`, {
      vocabSize: config[`${side}_vocab_size`],
      width,
      scaled: true,
      positions: 'sinusoidal',
      maxPositions: config.max_position_embeddings,
    });
  const [src, tgt] = [embeddingOf('src'), embeddingOf('tgt')];
  const generator = nn.Linear.load(source, 'generator', [config.tgt_vocab_size, width], true);
  const transformer = new nn.Transformer(source, 'transformer', {
    width,
    numHeads: config.nhead,
    numEncoderLayers: config.num_encoder_layers,
    numDecoderLayers: config.num_decoder_layers,
    innerWidth: config.dim_feedforward,
    activation: config.activation,
    preNorm: config.norm_first,
    eps: config.layer_norm_eps,
  });
  return {
    encode: (ids: Rows, sourceMask?: Mask) => transformer.encode(src.forward(int32(ids)), { mask: sourceMask }),
    decode: (ids: Rows, memory: Tensor, targetMask?: Mask, memoryMask?: Mask) => {
      const causal = targetMask ? mask.causal().and(targetMask) : mask.causal();
      const output = transformer.decode(tgt.forward(int32(ids)), memory, { mask: causal, memoryMask });
      return { output, logits: generator.forward(output) };
    },
  };
}

const folders = fixtureNames('models').filter((name) => {
  const config = JSON.parse(readFileSync(path.join(fixtures, 'models', name, 'config.json'), 'utf8')) as Config;
  return config.model_type === 'nn_transformer';
});
if (folders.length === 0) test.skip('no fixtures of nn.Transformer', () => undefined);

for (const folder of folders) {
  const fixture = new Fixture<Cases>(`models/${folder}`);
  const model = modelOf(path.join(fixtures, 'models', folder));

  for (const { name, inputs, outputs } of fixture.cases.forward) {
    test(`models/${folder}: ${name}`, async () => {
      const { src, tgt, attention_mask: sourceTokens, decoder_attention_mask: targetTokens } = inputs;
      const results = scope(() => {
        const memoryMask = realTokens(sourceTokens);
        const memory = model.encode(src, memoryMask);
        const { output, logits } = model.decode(tgt, memory, realTokens(targetTokens), memoryMask);
        return { memory, decoder_output: output, logits, log_probs: logSoftmax(logits) };
      });
      expect(Object.keys(outputs).filter((output) => !(output in results))).toEqual([]);
      for (const [key, { shape, noise = 0 }] of Object.entries(outputs)) {
        const actual = results[key as keyof typeof results];
        expect(actual.shape).toEqual(shape);
        const real = (key === 'memory' ? sourceTokens : targetTokens)?.flat();
        // Rows of padding carry no meaning.
        const kept = (_: number, i: number) => real?.[Math.floor(i / shape.at(-1)!)] !== 0;
        const expected = fixture.tensor(`${name}/${key}`).data.filter(kept);
        const allowed = (i: number) => Math.max(MODELS.abs + MODELS.rel * Math.abs(expected[i]!), 20 * noise);
        expectClose((await actual.data()).filter(kept), expected, allowed, `${key}: element`);
      }
    });
  }

  // Greedy, from the first token on at each step.
  for (const { name, inputs, params, sequences } of fixture.cases.generate) {
    const { max_new_tokens: count, bos_token_id: first, eos_token_id: end, ...others } = params;
    const greedy = end === null && Object.keys(others).length === 0 && inputs.src.length === 1;
    (greedy ? test : test.skip)(`models/${folder}: ${name}`, async () => {
      const memory = model.encode(inputs.src);
      const ids = [first!];
      for (let step = 0; step < count!; ++step) {
        const next = scope(() =>
          argmax(
            model
              .decode([ids], memory)
              .logits.slice(1, step, step + 1)
              .reshape([1, -1]),
          ),
        );
        ids.push((await next.data<Int32Array>())[0]!);
      }
      expect([ids]).toEqual(sequences);
    });
  }
}

const [BATCH, TOKENS, WIDTH] = [2, 6, 16];
const options = { width: WIDTH, numHeads: 2, innerWidth: 24, preNorm: true, activation: 'gelu' } as const;
const stacks = { numEncoderLayers: 2, numDecoderLayers: 1 };
const random = new Random(3);
const normals = (tokens: number) => tensor(random.normals(BATCH * tokens * WIDTH), [BATCH, tokens, WIDTH]);
const [x, memory] = [normals(TOKENS), normals(4)];
const source = (dtype: 'float32' | 'float16' | 'bfloat16' = 'float32') => nn.initialParameters({ seed: 5, dtype });
const encoderLayer = (more = {}) => new nn.TransformerEncoderLayer(source(), '', { ...options, ...more });
const decoderLayer = (more = {}) => new nn.TransformerDecoderLayer(source(), '', { ...options, ...more });

test('a Transformer is its layers, and forward is decode of encode', async () => {
  using whole = new nn.Transformer(source(), '', {
    ...options,
    numEncoderLayers: 1,
    numDecoderLayers: 1,
    finalNorm: false,
  });
  using alone = encoderLayer(); // the same draws of the initializer
  const masks = { mask: mask.slidingWindow(2, 2) };
  const encoded = whole.encode(x, masks);
  expect(await encoded.data()).toEqual(await alone.forward(x, masks).data());
  const both = whole.forward(x, memory, {
    sourceMask: masks.mask,
    targetMask: mask.causal(),
    memoryMask: mask.padding(3),
  });
  const decoded = whole.decode(memory, encoded, { mask: mask.causal(), memoryMask: mask.padding(3) });
  expect(await both.data()).toEqual(await decoded.data());
});

test('later tokens do not reach earlier ones, nor masked memory the output', async () => {
  using layer = decoderLayer();
  const input = { mask: mask.causal(), memoryMask: mask.padding(3) };
  const all = await layer.forward(x, memory, input).data();
  const first = await layer.forward(x.slice(1, 0, 3), memory.slice(1, 0, 3), { mask: mask.causal() }).data();
  for (let b = 0; b < BATCH; ++b) {
    const row = all.subarray(b * TOKENS * WIDTH, b * TOKENS * WIDTH + 3 * WIDTH);
    expect(row).toEqual(first.subarray(b * 3 * WIDTH, (b + 1) * 3 * WIDTH));
  }
});

test.each(['float16', 'bfloat16'] as const)('in %s', async (dtype) => {
  const make = (one: typeof dtype | 'float32') => new nn.Transformer(source(one), '', { ...options, ...stacks });
  using exact = make('float32');
  using half = make(dtype);
  const rounded = (one: Tensor) => scope(() => tensor(Float32Array.from(values.get(one)!), one.shape, { dtype }));
  const values = new Map([
    [x, await x.data()],
    [memory, await memory.data()],
  ]);
  const y = half.forward(rounded(x), rounded(memory));
  expect(y.dtype).toBe(dtype);
  const expected = await exact.forward(x, memory).data();
  expectClose(await y.data(), expected, { abs: dtype === 'float16' ? 2e-2 : 1.5e-1, rel: 0 });
});

test('dropout: off by itself, the same for a seed, another in each layer', async () => {
  using layer = new nn.Transformer(source(), '', { ...options, ...stacks, dropout: 0.2 });
  using plain = new nn.Transformer(source(), '', { ...options, ...stacks });
  const run = (pass: nn.PassOptions) => layer.forward(x, memory, pass).data();
  const still = await plain.forward(x, memory).data();
  expect(await run({})).toEqual(still);
  expect(await run({ seed: 9 })).toEqual(still);
  expect(await plain.forward(x, memory, { training: true }).data()).toEqual(still);
  const dropped = await run({ training: true, seed: 9 });
  expect(dropped).not.toEqual(still);
  expect(await run({ mcDropout: true, seed: 9 })).toEqual(dropped);
  expect(await run({ training: true, seed: 10 })).not.toEqual(dropped);
  expect(await run({ training: true, seed: new nn.Draws(9) })).toEqual(dropped);
  // The mean of many samples comes near the prediction.
  using one = encoderLayer({ dropout: 0.1 });
  const undropped = await one.forward(x).data();
  const samples = 300;
  const mean = new Float64Array(undropped.length);
  for (let seed = 0; seed < samples; ++seed) {
    const sample = await one.forward(x, { mcDropout: true, seed }).data();
    sample.forEach((value, i) => (mean[i]! += value / samples));
  }
  const distance = Math.hypot(...mean.map((value, i) => value - undropped[i]!)) / Math.hypot(...undropped);
  expect(distance).toBeLessThan(0.1);
});

test('everything dropped leaves the residual', async () => {
  using layer = encoderLayer({ dropout: 1 });
  expect(await layer.forward(x, { training: true }).data()).toEqual(await x.data());
});

test('a bias reaches the scores', async () => {
  using layer = encoderLayer();
  const banned = Float32Array.from({ length: TOKENS ** 2 }, (_, i) => (i % TOKENS > i / TOKENS ? -Infinity : 0));
  const causal = await layer.forward(x, { mask: mask.causal() }).data();
  const biased = await layer.forward(x, { bias: bias.dense(tensor(banned, [TOKENS, TOKENS])) }).data();
  expect(biased).toEqual(causal);
});

const transformer = (more: object) => new nn.Transformer(source(), '', { ...options, ...stacks, ...more });
const wrong: [message: RegExp, call: () => unknown][] = [
  [/\[Transformer\] options must be an object/, () => new nn.Transformer(source(), '', 'big' as never)],
  [/\[Transformer\] numEncoderLayers must be/, () => transformer({ numEncoderLayers: 0 })],
  [/\[Transformer\] numDecoderLayers must be/, () => transformer({ numDecoderLayers: undefined })],
  [/\[Transformer\] finalNorm must be/, () => transformer({ finalNorm: 1 })],
  [/\[Transformer\] unknown option "d_model"/, () => transformer({ d_model: 16 })],
  [/\[Transformer\] width must be a multiple of numHeads 3/, () => transformer({ numHeads: 3 })],
  [/\[Transformer\.encode\] source must be of shape \[B, T, 16\]/, () => transformer({}).encode(x.slice(2, 0, 8))],
  [/\[Transformer\.decode\] memory must be of shape/, () => transformer({}).decode(x, x.slice(2, 0, 8))],
  [/\[Transformer\] unknown option "mask"/, () => transformer({}).forward(x, x, { mask: mask.causal() } as never)],
  [/\[TransformerEncoderLayer\] activation must be one of/, () => encoderLayer({ activation: 'swiglu' })],
  [/\[TransformerEncoderLayer\] innerWidth must be/, () => encoderLayer({ innerWidth: 1.5 })],
  [/\[TransformerEncoderLayer\] preNorm must be/, () => encoderLayer({ preNorm: 'yes' })],
  [/\[TransformerEncoderLayer\] dropout must be in/, () => encoderLayer({ dropout: -0.1 })],
  [/\[TransformerEncoderLayer\] eps must be/, () => encoderLayer({ eps: NaN })],
  [/\[TransformerEncoderLayer\] x must be of shape/, () => encoderLayer().forward(x.reshape([-1, WIDTH]))],
  [/\[TransformerEncoderLayer\] seed must be/, () => encoderLayer().forward(x, { training: true, seed: 0.5 })],
  [/\[TransformerDecoderLayer\] memory must be a Tensor/, () => decoderLayer().forward(x, undefined as never)],
  [/\[TransformerDecoderLayer\] unknown option "eps2"/, () => decoderLayer({ eps2: 1 })],
  [
    /\[parameters\] there is no "a\.self_attn\.in_proj_weight"/,
    () => new nn.TransformerEncoderLayer(nn.parameters({}), 'a', options),
  ],
  [/\[Draws\] seed must be/, () => new nn.Draws(-1)],
];
test.each(wrong)('%s', (message, call) => {
  expect(call).toThrow(message);
});
