import { rmSync } from 'node:fs';
import path from 'node:path';
import { argmax, defaultDevice, loadModel, scope, setNumThreads, tensor, type FloatDType } from 'heddle';
import { loadNetwork, readConfig } from '#lib/models/load';
import type { Decoder } from '#lib/nn/decoder';
import type { EncoderDecoder, Source } from '#lib/nn/encoder-decoder';
import { expectClose, MODELS } from '../support/compare';
import { FLOATS } from '../support/dtype';
import { Fixture, fixtureNames, fixtures } from '../support/fixtures';
import { plainBart, plainT5, type BartFamily } from '../support/plain-encoder-decoder';
import { randomWeights, writeModel, type Weights } from '../support/random-model';

// What the fixtures of encoder-decoders do not show: other families and configs, by their formulas in float64; steps over a
// cache; that rows do not see each other.

type Config = Record<string, unknown>;
type Shapes = Record<string, readonly number[]>;

/** BART, or what descends from it: sides of different shapes. */
const BART: Config = {
  ...{ d_model: 24, vocab_size: 29, max_position_embeddings: 40, activation_function: 'gelu', scale_embedding: false },
  ...{ encoder_layers: 2, encoder_attention_heads: 3, encoder_ffn_dim: 31 },
  ...{ decoder_layers: 2, decoder_attention_heads: 4, decoder_ffn_dim: 20, decoder_start_token_id: 2 },
};
const T5: Config = {
  ...{ architectures: ['T5ForConditionalGeneration'], d_model: 24, vocab_size: 29, d_kv: 10, d_ff: 31, num_heads: 3 },
  ...{ num_layers: 2, num_decoder_layers: 1, relative_attention_num_buckets: 12, relative_attention_max_distance: 15 },
  ...{ feed_forward_proj: 'gated-gelu', tie_word_embeddings: false, layer_norm_epsilon: 1e-6, decoder_start_token_id: 0 },
};

function bartShapes(config: Config, { preNorm, embeddingNorm, sinusoidal }: BartFamily, more: Shapes): Shapes {
  const number = (key: string) => config[key] as number;
  const width = number('d_model');
  const shapes: Shapes = { 'model.shared.weight': [number('vocab_size'), width] };
  const linear = (name: string, outputs: number, inputs: number) =>
    Object.assign(shapes, { [`${name}.weight`]: [outputs, inputs], [`${name}.bias`]: [outputs] });
  const norm = (name: string) => Object.assign(shapes, { [`${name}.weight`]: [width], [`${name}.bias`]: [width] });
  for (const side of ['encoder', 'decoder']) {
    if (!sinusoidal) shapes[`model.${side}.embed_positions.weight`] = [number('max_position_embeddings') + 2, width];
    if (embeddingNorm) norm(`model.${side}.layernorm_embedding`);
    if (preNorm) norm(`model.${side}.layer_norm`);
    for (let i = 0; i < number(`${side}_layers`); ++i) {
      const layer = `model.${side}.layers.${i}`;
      for (const part of side === 'encoder' ? ['self_attn'] : ['self_attn', 'encoder_attn']) {
        for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) linear(`${layer}.${part}.${name}`, width, width);
        norm(`${layer}.${part}_layer_norm`);
      }
      linear(`${layer}.fc1`, number(`${side}_ffn_dim`), width);
      linear(`${layer}.fc2`, width, number(`${side}_ffn_dim`));
      norm(`${layer}.final_layer_norm`);
    }
  }
  return { ...shapes, ...more };
}

function t5Shapes(config: Config): Shapes {
  const number = (key: string) => config[key] as number;
  const [width, inner, hidden] = [number('d_model'), number('d_kv') * number('num_heads'), number('d_ff')];
  const shapes: Shapes = { 'shared.weight': [number('vocab_size'), width] };
  if (config.tie_word_embeddings === false) shapes['lm_head.weight'] = [number('vocab_size'), width];
  for (const [side, layers] of [['encoder', number('num_layers')], ['decoder', number('num_decoder_layers')]] as const) {
    const parts = side === 'encoder' ? ['SelfAttention'] : ['SelfAttention', 'EncDecAttention'];
    shapes[`${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`] = [
      ...[number('relative_attention_num_buckets'), number('num_heads')],
    ];
    shapes[`${side}.final_layer_norm.weight`] = [width];
    for (let i = 0; i < layers; ++i) {
      const block = `${side}.block.${i}.layer`;
      parts.forEach((part, at) => {
        for (const name of ['q', 'k', 'v']) shapes[`${block}.${at}.${part}.${name}.weight`] = [inner, width];
        shapes[`${block}.${at}.${part}.o.weight`] = [width, inner];
        shapes[`${block}.${at}.layer_norm.weight`] = [width];
      });
      const last = `${block}.${parts.length}`;
      shapes[`${last}.layer_norm.weight`] = [width];
      const gated = String(config.feed_forward_proj).startsWith('gated-');
      for (const name of gated ? ['wi_0', 'wi_1'] : ['wi']) shapes[`${last}.DenseReluDense.${name}.weight`] = [hidden, width];
      shapes[`${last}.DenseReluDense.wo.weight`] = [width, hidden];
    }
  }
  return shapes;
}

interface Family {
  config: Config;
  weights: Weights;
  plain: (ids: readonly number[], decoderIds: readonly number[], places?: readonly number[]) => number[][];
}

function bartLike(architecture: string, family: BartFamily, changes: Config = {}, more: Shapes = {}): Family {
  const config = { architectures: [architecture], ...BART, ...changes };
  const weights = randomWeights(bartShapes(config, family, more), 11);
  return { config, weights, plain: (ids, decoderIds) => plainBart(config, weights, family, ids, decoderIds) };
}

function t5Like(changes: Config = {}): Family {
  const config = { ...T5, ...changes };
  const weights = randomWeights(t5Shapes(config), 12);
  return { config, weights, plain: (ids, decoderIds, places) => plainT5(config, weights, ids, decoderIds, places) };
}

const bart = { preNorm: false, embeddingNorm: true, sinusoidal: false };
const marian = { preNorm: false, embeddingNorm: false, sinusoidal: true };
const pegasus = { preNorm: true, embeddingNorm: false, sinusoidal: true };
const table = [29, 24];
const families: Record<string, () => Family> = {
  BART: () => bartLike('BartForConditionalGeneration', bart),
  'BART, scaled, a bias, tables of its own': () =>
    bartLike('BartForConditionalGeneration', bart, { scale_embedding: true, tie_word_embeddings: false }, {
      ...{ final_logits_bias: [1, 29], 'lm_head.weight': table },
      ...{ 'model.encoder.embed_tokens.weight': table, 'model.decoder.embed_tokens.weight': table },
    }),
  'Marian, two vocabularies': () =>
    bartLike('MarianMTModel', marian, { share_encoder_decoder_embeddings: false, decoder_vocab_size: 23 }, {
      'model.encoder.embed_tokens.weight': table,
      ...{ 'model.decoder.embed_tokens.weight': [23, 24], final_logits_bias: [1, 23] },
    }),
  'Marian, stored positions': () =>
    bartLike('MarianMTModel', marian, { activation_function: 'swish', scale_embedding: true }, {
      ...{ 'model.encoder.embed_positions.weight': [40, 24], 'model.decoder.embed_positions.weight': [40, 24] },
    }),
  Pegasus: () => bartLike('PegasusForConditionalGeneration', pegasus, { activation_function: 'relu' }),
  'T5 1.1': () => t5Like(),
  'T5, tied, gated silu': () => t5Like({ tie_word_embeddings: true, feed_forward_proj: 'gated-silu' }),
  'T5, no gate': () => t5Like({ feed_forward_proj: 'relu' }),
};

const ids = [
  [3, 11, 5, 21, 7, 7, 18, 2, 9],
  [6, 1, 20, 4, 0, 0, 0, 0, 0],
];
const decoderIds = [
  [2, 9, 22, 4, 13],
  [2, 1, 1, 0, 0],
];
const maskOf = (lengths: readonly number[], rows: readonly (readonly number[])[]) =>
  rows.map((row, b) => row.map((_, i) => Number(i < lengths[b]!)));
const mask = maskOf([9, 4], ids);
const decoderMask = maskOf([5, 3], decoderIds);
const bytes = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
const HALF = { float32: 0, float16: 5e-2, bfloat16: 1e-1 };

async function withFolder(family: Family, body: (folder: string) => Promise<void>): Promise<void> {
  const folder = writeModel(family.config, family.weights);
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withNetwork(
  family: Family,
  dtype: FloatDType,
  body: (network: EncoderDecoder) => Promise<void>,
): Promise<void> {
  await withFolder(family, async (folder) => {
    const network = await loadNetwork(folder, await readConfig(folder), defaultDevice(), { dtype });
    try {
      await body(network as EncoderDecoder);
    } finally {
      network[Symbol.dispose]();
    }
  });
}

describe.each(Object.keys(families))('%s', (name) => {
  test.each(FLOATS)('%s: the formula in float64', async (dtype) => {
    const family = families[name]!();
    await withFolder(family, async (folder) => {
      await using model = await loadModel(folder, { dtype });
      const { logits, encoderLastHiddenState } = model.forward({ ids, mask, decoderIds, decoderMask });
      expect([logits.shape, encoderLastHiddenState?.shape]).toEqual([
        [2, 5, model.vocabSize],
        [2, 9, 24],
      ]);
      const actual = await logits.data();
      for (const [b, row] of ids.entries()) {
        const kept = (values: readonly number[], real: readonly number[]) => values.filter((_, i) => real[i] === 1);
        const wanted = family.plain(kept(row, mask[b]!), kept(decoderIds[b]!, decoderMask[b]!)).flat();
        const begin = b * 5 * model.vocabSize;
        const largest = Math.max(...wanted.map(Math.abs));
        const tolerance = (i: number) => Math.max(MODELS.abs + MODELS.rel * Math.abs(wanted[i]!), HALF[dtype] * largest);
        expectClose(actual.subarray(begin, begin + wanted.length), wanted, tolerance, `logit of row ${b},`);
        const padding = actual.subarray(begin + wanted.length, begin + 5 * model.vocabSize);
        expect(padding.every((x) => x === 0)).toBe(true);
      }
    });
  });
});

test('T5: padding between tokens counts as a place', async () => {
  const family = t5Like();
  await withFolder(family, async (folder) => {
    await using model = await loadModel(folder, { dtype: 'float32' });
    const holes = [[1, 1, 0, 0, 1, 1, 0, 1, 1], mask[1]!];
    const actual = await model.forward({ ids, mask: holes, decoderIds }).logits.slice(0, 0, 1).data();
    const places = [0, 1, 4, 5, 7, 8];
    expectClose(actual, family.plain(places.map((at) => ids[0]![at]!), decoderIds[0]!, places).flat(), MODELS);
  });
});

/** Logits of rows of decoder ids, run in chunks over a cache; of each row its bytes. */
async function step(
  network: EncoderDecoder,
  source: Source,
  rows: readonly (readonly number[])[],
  chunk: number,
): Promise<Buffer[]> {
  const decoder = network.decoder(source);
  const longest = Math.max(...rows.map((row) => row.length));
  using cache = decoder.createCache(rows.length, longest);
  const parts: Buffer[][] = rows.map(() => []);
  for (let begin = 0; begin < longest; begin += chunk) {
    const pieces = rows.map((row) => row.slice(begin, begin + chunk));
    const ends = pieces.reduce((all, piece) => [...all, all.at(-1)! + piece.length], [0]);
    const { logits } = scope(() =>
      decoder.forward({
        ids: tensor(Int32Array.from(pieces.flat())),
        positions: tensor(Int32Array.from(pieces.flatMap((piece) => piece.map((_, i) => begin + i)))),
        cuSeqlens: tensor(Int32Array.from(ends)),
        cache,
      }),
    );
    const values = await logits.data();
    const width = logits.shape[1]!;
    logits.dispose();
    pieces.forEach((_, b) => parts[b]!.push(bytes(values.subarray(ends[b]! * width, ends[b + 1]! * width))));
  }
  return parts.map((row) => Buffer.concat(row));
}

describe.each(FLOATS)('%s: the same bytes', (dtype) => {
  const sources = [ids[0]!, ids[1]!.slice(0, 4), [5], [8, 8, 9, 10, 28, 3]];
  const targets = [decoderIds[0]!, [2, 1, 1], [2], [2, 7, 7, 21]];

  test.each(['BART', 'T5 1.1', 'Pegasus'])('%s: alone, in a batch, in chunks, repeated, with any threads', async (name) => {
    await withNetwork(families[name]!(), dtype, async (network) => {
      const alone: Buffer[] = [];
      for (const [b, row] of sources.entries()) {
        using source = network.encode({ ids: [row] });
        alone.push((await step(network, source, [targets[b]!], 9))[0]!);
      }
      for (const threads of [1, 2, 4]) {
        setNumThreads(threads);
        using source = network.encode({ ids: sources });
        for (const chunk of [9, 2, 1]) expect(await step(network, source, targets, chunk)).toEqual(alone);
        using twice = source.repeat(2);
        expect([source.batch, twice.batch]).toEqual([4, 8]);
        const both = targets.flatMap((row) => [row, row]);
        expect(await step(network, twice, both, 2)).toEqual(alone.flatMap((row) => [row, row]));
      }
      setNumThreads(2);
    });
  });

  test('T5: padding on either side', async () => {
    await withNetwork(families['T5 1.1']!(), dtype, async (network) => {
      using alone = network.encode({ ids: [[6, 1, 20]], wantsHidden: true });
      using padded = network.encode({
        ids: [
          [6, 1, 20, 0],
          [0, 6, 1, 20],
        ],
        mask: [
          [1, 1, 1, 0],
          [0, 1, 1, 1],
        ],
        wantsHidden: true,
      });
      const one = bytes(await alone.hidden!.data());
      expect(bytes(await padded.hidden!.data()).equals(Buffer.concat([one, one]))).toBe(true);
      const [row] = await step(network, alone, [[0, 3, 4]], 9);
      expect(await step(network, padded, [[0, 3, 4], [0, 3, 4]], 9)).toEqual([row, row]);
    });
  });
});

test('what the head reads, where it is wanted', async () => {
  await withNetwork(families['T5, tied, gated silu']!(), 'float32', async (network) => {
    using source = network.encode({ ids: [ids[0]!] });
    const decoder = network.decoder(source);
    using cache = decoder.createCache(1, 3);
    const int32 = (values: number[]) => tensor(Int32Array.from(values));
    const input = { ids: int32([0, 4, 5]), positions: int32([0, 1, 2]), cuSeqlens: int32([0, 3]), cache };
    const { logits, hidden } = decoder.forward({ ...input, rows: int32([2]), wantsHidden: true });
    expect([logits.shape, hidden?.shape]).toEqual([
      [1, 29],
      [1, 24],
    ]);
    const { captured } = await forwardOf('T5, tied, gated silu', [ids[0]!], [[0, 4, 5]], ['decoder.norm']);
    expect([...(await hidden!.data())]).toEqual(captured['decoder.norm']!.slice(-24));
    expect('hidden' in decoder.forward({ ...input, ids: int32([]), positions: int32([]), cuSeqlens: int32([0, 0]) })).toBe(false);
  });
  const folder = path.resolve('models/shakespeare');
  const decoder = (await loadNetwork(folder, await readConfig(folder), defaultDevice(), {})) as Decoder;
  using cache = decoder.createCache(1, 2);
  const int32 = (values: number[]) => tensor(Int32Array.from(values));
  const input = { ids: int32([1, 2]), positions: int32([0, 1]), cuSeqlens: int32([0, 2]), cache };
  const { hidden } = decoder.forward({ ...input, wantsHidden: true });
  await using model = await loadModel(folder);
  const { captured } = model.forward({ ids: [1, 2], capture: ['norm'] });
  expect(await hidden!.data()).toEqual(await captured.norm!.data());
  decoder[Symbol.dispose]();
});

async function forwardOf(name: string, rows: number[][], targets: number[][], capture: string[]) {
  const captured: Record<string, number[]> = {};
  await withFolder(families[name]!(), async (folder) => {
    await using model = await loadModel(folder, { dtype: 'float32' });
    const result = model.forward({ ids: rows, decoderIds: targets, capture });
    for (const [place, x] of Object.entries(result.captured)) captured[place] = [...(await x.data())];
  });
  return { captured };
}

test('every path gives a tensor, and the logits stay what they are', async () => {
  await withFolder(families.Pegasus!(), async (folder) => {
    await using model = await loadModel(folder);
    let message = '';
    try {
      model.forward({ ids, decoderIds, capture: ['?'] });
    } catch (error) {
      ({ message } = error as Error);
    }
    expect(message).toMatch(/, and so on up to encoder\.layers\.1 and decoder\.layers\.1$/);
    const paths = /this model has (.*), and so on/.exec(message)![1]!.split(', ');
    expect(paths).toEqual(expect.arrayContaining(['encoder.norm', 'decoder.layers.0.crossAttention.weights']));
    const input = { ids, mask, decoderIds, decoderMask };
    const { logits, captured } = model.forward({ ...input, capture: paths });
    expect(bytes(await logits.data()).equals(bytes(await model.forward(input).logits.data()))).toBe(true);
    expect(Object.keys(captured).sort()).toEqual([...paths].sort());
    const capture = ['encoder.layers.1.attention.weights', 'decoder.layers.1.attention.weights', 'decoder.layers.1.crossAttention.weights'];
    const weights = model.forward({ ...input, capture }).captured;
    expect(capture.map((place) => weights[place]!.shape)).toEqual([
      [2, 3, 9, 9],
      [2, 4, 5, 5],
      [2, 4, 5, 9],
    ]);
    const cross = await weights[capture[2]!]!.data();
    const sums = Array.from({ length: 2 * 4 * 5 }, (_, r) => cross.subarray(r * 9, r * 9 + 9).reduce((a, x) => a + x, 0));
    const real = sums.map((_, r) => decoderMask[Math.floor(r / 20)]![r % 5]!);
    expectClose(sums, real, { abs: 1e-6, rel: 0 });
    expect([...cross.subarray(4 * 5 * 9)].every((x, i) => i % 9 < 4 || x === 0)).toBe(true);
  });
});

for (const name of ['t5', 'marian']) {
  if (!fixtureNames('models').includes(name)) {
    test.skip(`no fixtures: ${name}`, () => undefined);
    continue;
  }
  // What generation does with these, in a few lines: the best token, step by step, over a cache.
  interface Greedy {
    name: string;
    inputs: { input_ids: number[][]; attention_mask?: number[][]; decoder_input_ids?: number[][] };
    params: Record<string, unknown>;
    sequences: number[][];
  }
  const simple = ['pad_token_id', 'decoder_start_token_id', 'bad_words_ids', 'max_new_tokens', 'eos_token_id'];
  const { generate } = new Fixture<{ generate: Greedy[] }>(`models/${name}`).cases;
  const cases = generate.filter(({ params }) => Object.keys(params).every((key) => simple.includes(key)));

  test.each(cases.map((one) => [one.name, one] as const))(`${name} best tokens: %s`, async (_, { inputs, params, sequences }) => {
    const folder = path.join(fixtures, 'models', name);
    const network = (await loadNetwork(folder, await readConfig(folder), defaultDevice(), { dtype: 'float32' })) as EncoderDecoder;
    const { input_ids: rows, attention_mask: given, decoder_input_ids: prompts } = inputs;
    const pad = params.pad_token_id as number;
    const ends = [params.eos_token_id ?? []].flat() as number[];
    const banned = ((params.bad_words_ids ?? []) as number[][]).flatMap((words) => (words.length === 1 ? words : []));
    const pairs = ((params.bad_words_ids ?? []) as number[][]).filter((words) => words.length === 2);
    using source = network.encode({ ids: rows, mask: given });
    const decoder = network.decoder(source);
    expect(network.options.decoderStartTokenId).toBe(params.decoder_start_token_id);
    const sequencesFound = rows.map((_, b) => [...(prompts?.[b] ?? [network.options.decoderStartTokenId])]);
    const first = sequencesFound[0]!.length;
    using cache = decoder.createCache(rows.length, first + (params.max_new_tokens as number));
    let fresh = sequencesFound.map((row) => [...row]);
    for (let step = 0; step < (params.max_new_tokens as number); ++step) {
      const begin = sequencesFound[0]!.length - fresh[0]!.length;
      const ends_ = fresh.reduce((all, piece) => [...all, all.at(-1)! + piece.length], [0]);
      const int32 = (values: number[]) => tensor(Int32Array.from(values));
      const { logits } = scope(() =>
        decoder.forward({
          ids: int32(fresh.flat()),
          positions: int32(fresh.flatMap((piece) => piece.map((_, i) => begin + i))),
          cuSeqlens: int32(ends_),
          cache,
          rows: int32(ends_.slice(1).map((end) => end - 1)),
        }),
      );
      const values = await logits.data();
      const width = logits.shape[1]!;
      sequencesFound.forEach((row, b) => {
        const last = row.at(-1);
        for (const id of banned) values[b * width + id] = -Infinity;
        for (const [before, id] of pairs) if (last === before) values[b * width + id!] = -Infinity;
      });
      const best = await argmax(tensor(values, [rows.length, width])).data<Int32Array>();
      fresh = sequencesFound.map((row, b) => [row.slice(first).some((id) => ends.includes(id)) ? pad : best[b]!]);
      sequencesFound.forEach((row, b) => row.push(...fresh[b]!));
      if (sequencesFound.every((row) => row.slice(first).some((id) => ends.includes(id)))) break;
    }
    expect(sequencesFound).toEqual(sequences);
    network[Symbol.dispose]();
  });
}

describe('bad input', () => {
  test('of forward', async () => {
    await withFolder(families.BART!(), async (folder) => {
      await using model = await loadModel(folder);
      const wrong: [input: object, message: RegExp][] = [
        [{ ids }, /decoderIds must be token ids/],
        [{ ids, decoderIds: [] }, /decoderIds must be not empty/],
        [{ ids, decoderIds: [2, 3] }, /decoderIds must be 2 rows, as ids has/],
        [{ ids, decoderIds: [[2], [2, 3]] }, /decoderIds must be rows of one length from 1 to 40 but have 1, 2/],
        [{ ids, decoderIds: [[29], [2]] }, /decoderIds\[0\]\[0\].* from 0 to 28 but got 29/],
        [{ ids: [[29]], decoderIds: [[2]] }, /ids\[0\]\[0\].* from 0 to 28 but got 29/],
        [{ ids: new Array<number>(41).fill(1), decoderIds: [2] }, /ids must be rows of one length from 1 to 40/],
        [{ ids, decoderIds, decoderMask: [[1]] }, /decoderMask must be of the shape of decoderIds \(rows of 5, 5\)/],
        [{ ids, decoderIds, mask: [[1]] }, /mask must be of the shape of ids \(rows of 9, 9\)/],
        [{ ids, decoderIds, mask: [mask[0], new Array<number>(9).fill(0)] }, /mask\[1\] must be of at least one token/],
        [{ ids, decoderIds, positions: ids }, /unknown option "positions"/],
        [{ ids, decoderIds, tokenTypes: ids }, /unknown option "tokenTypes"/],
        [{ ids, decoderIds, capture: ['layers.0'] }, /capture\[0\] is "layers.0"; this model has encoder\.embeddings/],
      ];
      for (const [input, message] of wrong) expect(() => model.forward(input as { ids: number[] })).toThrow(message);
      const only = /BartForConditionalGeneration is an encoder-decoder/;
      await expect(model.score([1, 2])).rejects.toThrow(only);
      expect(() => model.info()).toThrow(only);
    });
    await using decoder = await loadModel('builtin:shakespeare');
    expect(() => decoder.forward({ ids: [1], decoderIds: [1] })).toThrow(/unknown option "decoderIds"/);
  });

  test('of steps', async () => {
    await withNetwork(families.BART!(), 'float32', async (network) => {
      using source = network.encode({ ids });
      const decoder = network.decoder(source);
      expect(() => decoder.createCache(3, 4)).toThrow(new RangeError('[createCache] batch must be the 2 sources but got 3'));
      expect(() => source.repeat(0)).toThrow(/times/);
      using far = network.encode({ ids: [new Array<number>(41).fill(1)], wantsHidden: true });
      await expect(far.hidden!.data()).rejects.toMatchObject({ code: 'INDEX_OUT_OF_RANGE' });
    });
  });

  const configs: [name: string, changes: Config, message: RegExp][] = [
    ['BART', { d_model: 25 }, /d_model must be a multiple of encoder_attention_heads 3 but is 25/],
    ['BART', { decoder_attention_heads: 5 }, /d_model must be a multiple of decoder_attention_heads 5 but is 24/],
    ['BART', { decoder_start_token_id: 29 }, /decoder_start_token_id must be a token from 0 to 28 but is 29/],
    ['BART', { decoder_start_token_id: null }, /pad_token_id must be a token from 0 to 28 but is undefined/],
    ['BART', { activation_function: 'sine' }, /activation_function must be one of/],
    ['BART', { max_position_embeddings: 41 }, /embed_positions\.weight must have shape \[43, 24\] but has \[42, 24\]/],
    ['BART', { tie_word_embeddings: false }, /has no tensor model\.lm_head\.weight nor lm_head\.weight/],
    ['Marian, two vocabularies', { decoder_vocab_size: 24 }, /must have shape \[24, 24\] but has \[23, 24\]/],
    ['T5 1.1', { feed_forward_proj: 'gated-sine' }, /feed_forward_proj must be one of/],
    ['T5 1.1', { relative_attention_num_buckets: 3 }, /relative_attention_num_buckets must be at least 4/],
    ['T5 1.1', { relative_attention_max_distance: 6 }, /less than twice relative_attention_max_distance 6 but is 12/],
    ['T5 1.1', { decoder_start_token_id: -1 }, /decoder_start_token_id must be a token from 0 to 28 but is -1/],
    ['T5 1.1', { feed_forward_proj: 'relu' }, /has no tensor encoder\.block\.0\.layer\.1\.DenseReluDense\.wi\.weight/],
  ];
  test.each(configs)('of a config: %s, %j', async (name, changes, message) => {
    const family = families[name]!();
    await withFolder({ ...family, config: { ...family.config, ...changes } }, async (folder) => {
      await expect(loadModel(folder)).rejects.toThrow(message);
    });
  });
});
