import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { cleanUp, settledLength } from '#lib/tokenizer/clean-up';
import { Detokenizer } from '#lib/tokenizer/detokenizer';
import { Tokenizer } from '#lib/tokenizer/tokenizer';

const data = process.env.HEDDLE_DATA ?? path.resolve(process.cwd(), '../shared/data');

/** Numerical Recipes' linear congruential generator: the same ids on every run. */
function generator(seed = 1): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function load(json: object, config = {}): Promise<Tokenizer> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'heddle-detokenizer-'));
  await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(json));
  await writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  const tokenizer = await Tokenizer.load(folder);
  await rm(folder, { recursive: true });
  return tokenizer!;
}

const numbered = (tokens: string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));
const added = [
  { id: 0, content: '<s>', special: true },
  { id: 1, content: '<tool>', special: false },
];
const vocabulary = (tokens: string[], model: object = { type: 'BPE', merges: [] }) => ({
  added_tokens: added,
  model: { ...model, vocab: numbered(['<s>', '<tool>', ...tokens]) },
});
const wordPiece = { type: 'WordPiece', unk_token: '<s>' };

/** GPT-2 writes each byte as a printable character: those that are printable in Latin-1 as they are, others from U+0100. */
function byteCharacters(): string[] {
  let others = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCodePoint(isPrintable ? byte : others++);
  });
}

const bytes = byteCharacters();
const asBytes = (text: string) => Array.from(Buffer.from(text), (byte) => bytes[byte]).join('');

// Tokens that begin, continue and end a character; the last is a whole one behind the end of another.
const emoji = asBytes('😀');
const byteLevel = {
  ...vocabulary([...bytes, emoji.slice(0, 2), emoji.slice(2), emoji.slice(3) + emoji, asBytes(' a')]),
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  decoder: { type: 'ByteLevel' },
};

const pieces = ['▁', '▁a', 'b', '▁▁', '.', "'", "▁'", 's', 't', 'n', '▁n', '▁.', 'é', '😀', 'a▁'];
const byteTokens = ['E2', '82', 'AC', 'F0', '9F', '98', '80', '41', '20', 'EF', 'BB', 'BF'].map((hex) => `<0x${hex}>`);
const sentencePiece = {
  ...vocabulary([...byteTokens, ...pieces]),
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
};

/** Every kind of decoder whose output depends on neighbours: the small alphabets make them meet. */
const decoders: Record<string, [json: object, config?: object]> = {
  'byte-level': [byteLevel],
  'byte-level, a word of one end': [
    {
      ...vocabulary(['a</w>', 'b', '.</w>', ' </w>', ' ', '\n'], {
        type: 'BPE',
        merges: [],
        end_of_word_suffix: '</w>',
      }),
      decoder: { type: 'ByteLevel' },
    },
  ],
  'sentencepiece with byte fallback': [sentencePiece],
  'no visible token to anchor to': [{ ...sentencePiece, ...vocabulary([...byteTokens.slice(0, 3), '▁', '▁é', 'é']) }],
  Metaspace: [{ ...vocabulary(pieces), decoder: { type: 'Metaspace', replacement: '▁' } }],
  'Metaspace, cleaned up': [
    { ...vocabulary(pieces, wordPiece), decoder: { type: 'Metaspace', replacement: '▁' } },
    { clean_up_tokenization_spaces: true },
  ],
  'WordPiece, cleaned up': [
    {
      ...vocabulary(['a', '##b', '.', 'n', "'", 't', "##'", 's', '##.', 'v', '##e', 're'], wordPiece),
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    },
    { clean_up_tokenization_spaces: true },
  ],
  'BPE with word ends': [
    { ...vocabulary(['a</w>', 'b', '.</w>', ' </w>', ' ', '\n']), decoder: { type: 'BPEDecoder', suffix: '</w>' } },
  ],
  'no decoder': [vocabulary(['a', 'b', ' ', 'é'])],
};

const HALF_A_CHARACTER = /[\uD800-\uDBFF]$|^[\uDC00-\uDFFF]/;

function expectPiecesToJoin(tokenizer: Tokenizer, ids: number[], skipSpecialTokens: boolean): void {
  const detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens });
  const got = [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
  expect(got.join('')).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
  expect(got.filter((piece) => HALF_A_CHARACTER.test(piece))).toEqual([]);
}

function expectRandomPiecesToJoin(tokenizer: Tokenizer, rounds: number): void {
  const random = generator();
  for (let round = 0; round < rounds; ++round) {
    const ids = Array.from({ length: random(12) }, () => random(tokenizer.vocabSize));
    expectPiecesToJoin(tokenizer, ids, round % 2 === 0);
  }
}

describe('pieces join to the decoded whole', () => {
  test.each(Object.entries(decoders))('%s', async (_, [json, config]) => {
    expectRandomPiecesToJoin(await load(json, config), 2000);
  });

  const real = ['tokenizers/gpt2', 'tokenizers/bert-uncased', 'tokenizers/t5-small', '../models/stories260K/hf'];
  for (const name of real) {
    const folder = path.join(data, name);
    (existsSync(folder) ? test : test.skip)(name, async () => {
      const tokenizer = (await Tokenizer.load(folder))!;
      expectRandomPiecesToJoin(tokenizer, 500);
      expectPiecesToJoin(tokenizer, tokenizer.encode('Straße, don\'t  stop:\n "こんにちは" 👩‍👩‍👧 é vs é .'), true);
    });
  }
});

test('a character comes when its last byte has', async () => {
  const tokenizer = await load(byteLevel);
  const detokenizer = new Detokenizer(tokenizer);
  const ids = tokenizer.encode('a😀€!');
  expect(ids).toHaveLength(9);
  expect(ids.map((id) => detokenizer.push(id))).toEqual(['a', '', '', '', '😀', '', '', '€', '!']);
  expect(detokenizer.flush()).toBe('');
});

test('flush returns what never became a character, and begins anew', async () => {
  const tokenizer = await load(byteLevel);
  const detokenizer = new Detokenizer(tokenizer);
  for (let round = 0; round < 2; ++round) {
    expect(detokenizer.push(tokenizer.tokenToId(emoji.slice(0, 2))!)).toBe('');
    expect(detokenizer.flush()).toBe('\uFFFD');
  }
});

test('spaces wait for the punctuation that would remove them', async () => {
  const [json, config] = decoders['WordPiece, cleaned up']!;
  const tokenizer = await load(json, config);
  const detokenizer = new Detokenizer(tokenizer);
  const ids = ['a', "'", 's', 'a', '.'].map((token) => tokenizer.tokenToId(token)!);
  expect(ids.map((id) => detokenizer.push(id))).toEqual(['a', '', "'s", ' a', '.']);
});

test('a long text costs no more per token than a short one', async () => {
  const tokenizer = await load(sentencePiece);
  let decoded = 0;
  const decodeTokens = tokenizer.decodeTokens.bind(tokenizer);
  tokenizer.decodeTokens = (ids, skip) => {
    decoded += ids.length;
    return decodeTokens(ids, skip);
  };
  const detokenizer = new Detokenizer(tokenizer);
  for (const token of ['▁a', '▁']) {
    for (let i = 0; i < 2000; ++i) detokenizer.push(tokenizer.tokenToId(token)!);
  }
  expect(decoded).toBeLessThan(4000 * 6);
});

test('an id out of range names function, argument and value', async () => {
  const detokenizer = new Detokenizer(await load(vocabulary(['a'])));
  expect(() => detokenizer.push(3)).toThrow(
    new RangeError('[Detokenizer.push] id must be a token id in [0, 3) but got 3'),
  );
});

test('a settled text can be cleaned up by itself', () => {
  const random = generator();
  const alphabet = " '.?!,ntmsverxa ' ' ";
  for (let round = 0; round < 20000; ++round) {
    const text = Array.from({ length: random(14) }, () => alphabet[random(alphabet.length)]).join('');
    const settled = settledLength(text.slice(0, random(text.length + 1)));
    expect(cleanUp(text.slice(0, settled)) + cleanUp(text.slice(settled))).toBe(cleanUp(text));
  }
});
