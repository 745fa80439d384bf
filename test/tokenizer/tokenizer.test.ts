import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { Tokenizer } from '#lib/tokenizer/tokenizer';

const data = process.env.HEDDLE_DATA ?? path.resolve(process.cwd(), '../shared/data');
const tokenizers = path.join(data, 'tokenizers');
const charModel = path.join(data, '../models/slm4096-gpt2-char/hf');
const ifThere = (folder: string) => (existsSync(folder) ? test : test.skip);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'heddle-tokenizer-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function load(json: object, config?: object): Promise<Tokenizer> {
  await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(json));
  if (config) await writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return (await Tokenizer.load(folder))!;
}

const words = {
  model: { type: 'WordLevel', vocab: { '?': 0, a: 1, b: 2, '.': 3, '<s>': 4, '</s>': 5 }, unk_token: '?' },
  added_tokens: [{ id: 4, content: '<s>', special: true }],
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [4], tokens: ['<s>'] } },
  },
};

describe('a small tokenizer', () => {
  test('encodes, with and without special tokens; what it does not know is the unknown token', async () => {
    const tokenizer = await load(words);
    expect(tokenizer.encode('b a é')).toEqual([4, 2, 1, 0]);
    expect(tokenizer.encode('b a', { addSpecialTokens: false })).toEqual([2, 1]);
    expect(tokenizer.encode('')).toEqual([4]);
  });

  test('decodes, with and without special tokens, from arrays and Int32Array', async () => {
    const tokenizer = await load(words);
    expect(tokenizer.decode([4, 2, 1])).toBe('b a');
    expect(tokenizer.decode(Int32Array.of(4, 2, 1), { skipSpecialTokens: false })).toBe('<s> b a');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([4])).toBe('');
  });

  test('knows its vocabulary', async () => {
    const tokenizer = await load(words);
    expect(tokenizer.vocabSize).toBe(6);
    expect([tokenizer.tokenToId('b'), tokenizer.tokenToId('c')]).toEqual([2, undefined]);
    expect([tokenizer.idToToken(2), tokenizer.idToToken(6)]).toEqual(['b', undefined]);
  });

  test('takes the special tokens that only the config names', async () => {
    const tokenizer = await load(words, { eos_token: { content: '</s>' } });
    expect(tokenizer.decode([2, 5])).toBe('b');
  });

  test('cleans up where the config asks for it', async () => {
    expect((await load(words)).decode([1, 3])).toBe('a .');
    expect((await load(words, { clean_up_tokenization_spaces: true })).decode([1, 3])).toBe('a.');
  });

  test('leaves BPE its spaces, as transformers does', async () => {
    const bpe = { model: { type: 'BPE', vocab: { 'x ': 0, '!=': 1 }, merges: [] }, decoder: { type: 'Fuse' } };
    const config = { clean_up_tokenization_spaces: true };
    expect((await load(bpe, config)).decode([0, 1])).toBe('x !=');
    const insists = { clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: true };
    expect((await load(bpe, { ...config, ...insists })).decode([0, 1])).toBe('x!=');
  });

  test('a gap in the vocabulary decodes to nothing', async () => {
    const tokenizer = await load({ model: { ...words.model, vocab: { '?': 0, a: 2 } } });
    expect(tokenizer.decode([2, 1, 2])).toBe('a a');
  });
});

describe('errors', () => {
  test('wrong types and ids out of range name function, argument and value', async () => {
    const tokenizer = await load(words);
    const wrong = (value: unknown) => value as never;
    expect(() => tokenizer.encode(wrong(1))).toThrow(
      new TypeError('[Tokenizer.encode] text must be a string but got 1'),
    );
    expect(() => tokenizer.encode('a', { addSpecialTokens: wrong(1) })).toThrow(
      new TypeError('[Tokenizer.encode] addSpecialTokens must be true or false but got 1'),
    );
    expect(() => tokenizer.encode('a', wrong({ specialTokens: false }))).toThrow('unknown option "specialTokens"');
    expect(() => tokenizer.decode([1], wrong(null))).toThrow('[Tokenizer.decode] options must be an object');
    expect(() => tokenizer.idToToken(wrong(Symbol('a')))).toThrow('[Tokenizer.idToToken] id must be a number');
    expect(() => tokenizer.decode(wrong('a'))).toThrow(
      new TypeError("[Tokenizer.decode] ids must be an array or an Int32Array but got 'a'"),
    );
    expect(() => tokenizer.decode([1, wrong('a')])).toThrow(
      new TypeError("[Tokenizer.decode] ids[1] must be a number but got 'a'"),
    );
    for (const id of [6, -1, 1.5, NaN]) {
      expect(() => tokenizer.decode([1, 1, id])).toThrow(
        new RangeError(`[Tokenizer.decode] ids[2] must be a token id in [0, 6) but got ${id}`),
      );
    }
    await expect(Tokenizer.load(wrong(undefined))).rejects.toThrow(
      new TypeError('[Tokenizer.load] folder must be a string but got undefined'),
    );
  });

  test('a text without tokens, where there is no unknown token', async () => {
    const tokenizer = await load({ ...words, model: { type: 'WordLevel', vocab: { a: 0 } }, post_processor: null });
    expect(() => tokenizer.encode('a b')).toThrow(
      new RangeError("[Tokenizer.encode] text has 'b', for which there is no token"),
    );
  });

  test('files that are missing, no JSON, or no tokenizer', async () => {
    expect(await Tokenizer.load(folder)).toBeUndefined();
    const file = path.join(folder, 'tokenizer.json');
    await writeFile(file, '{');
    await expect(Tokenizer.load(folder)).rejects.toThrow(`[Tokenizer.load] ${file} is not valid JSON: `);
    await writeFile(file, '[]');
    await expect(Tokenizer.load(folder)).rejects.toThrow(`[Tokenizer.load] ${file} must hold an object but holds`);
    await writeFile(file, '{"model": {"type": "Abacus"}}');
    await expect(Tokenizer.load(folder)).rejects.toThrow(
      `[Tokenizer.load] ${file} is not a tokenizer: Unknown TokenizerModel type: Abacus`,
    );
  });
});

// reference.json: ids and texts as the Python packages tokenizers and sentencepiece gave them.
describe.each(['gpt2', 'bert-uncased', 't5-small'])('%s', (name) => {
  ifThere(tokenizers)('encodes and decodes the texts of the reference', async () => {
    const reference = JSON.parse(readFileSync(path.join(tokenizers, 'reference.json'), 'utf8')) as {
      texts: string[];
      ids: Record<string, number[][]>;
      decoded: Record<string, string[]>;
    };
    const tokenizer = (await Tokenizer.load(path.join(tokenizers, name)))!;
    for (const [i, text] of reference.texts.entries()) {
      const ids = tokenizer.encode(text);
      expect(ids).toEqual(reference.ids[name]![i]);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(
        reference.ids[`${name} (no special tokens)`]![i],
      );
      expect(tokenizer.decodeTokens(ids, true)).toBe(reference.decoded[name]![i]);
    }
  });
});

ifThere(charModel)('a character model reads its own prompts', async () => {
  const tokenizer = (await Tokenizer.load(charModel))!;
  const { cases } = JSON.parse(readFileSync(path.join(charModel, '../reference.json'), 'utf8')) as {
    cases: { prompt: string; prompt_ids: number[] }[];
  };
  for (const { prompt, prompt_ids: ids } of cases) {
    expect(tokenizer.encode(prompt)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(prompt);
  }
  expect(tokenizer.encode('é')).toEqual([tokenizer.tokenToId('?')]);
});
