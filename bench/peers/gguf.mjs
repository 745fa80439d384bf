// GGUF files of the Llama shapes of bench/random-models.mjs, with random weights and made-up tokens.
import { closeSync, openSync, writeSync } from 'node:fs';
import { CONTEXT, writeRepeated } from '../random-models.mjs';

const ALIGNMENT = 32;

const uint32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const uint64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const float32 = (value) => Buffer.from(Float32Array.of(value).buffer);
const text = (value) => {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
};
const list = (type, parts) => Buffer.concat([uint32(type), uint64(parts.length), ...parts]);

/** Numbers of the format's value types, with what writes them. */
const VALUES = {
  uint32: [4, uint32],
  float32: [6, float32],
  bool: [7, (value) => Buffer.of(value ? 1 : 0)],
  text: [8, text],
  texts: [9, (values) => list(8, values.map(text))],
  floats: [9, (values) => list(6, values.map(float32))],
  ints: [9, (values) => list(5, values.map(uint32))],
};
const entry = (key, kind, value) => Buffer.concat([text(key), uint32(VALUES[kind][0]), VALUES[kind][1](value)]);

/** By name: number of the tensor type and of the file type, weights of a block and its bytes. */
const TYPES = {
  F32: { type: 0, weights: 1, bytes: 4 },
  Q4_0: { type: 2, file: 2, weights: 32, bytes: 18 },
  Q8_0: { type: 8, file: 7, weights: 32, bytes: 34 },
  BF16: { type: 30, file: 32, weights: 1, bytes: 2 },
};
export const GGUF_TYPES = Object.keys(TYPES).filter((name) => name !== 'F32');

const SCALE = { Q4_0: 0x1800, Q8_0: 0x0800 }; // of a block, float16: 0.002 and 0.0001

/** Random blocks, over and over. */
function noise(name) {
  const { bytes } = TYPES[name];
  const data = Buffer.alloc(bytes * (1 << 15));
  for (let at = 0; at < data.length; at += bytes) {
    if (name === 'BF16') {
      data.writeUInt16LE(0x3c00 | (Math.floor(Math.random() * 0x10000) & 0x80ff), at); // ± 0.008 … 0.03
      continue;
    }
    data.writeUInt16LE(SCALE[name], at);
    for (let i = 2; i < bytes; ++i) data[at + i] = Math.floor(Math.random() * 256);
  }
  return data;
}

/** Names and shapes, innermost length first. */
function tensorsOf({ width, layers, heads, kvHeads, inner, vocabulary }, weights) {
  const kvWidth = (width / heads) * kvHeads;
  const tensors = [
    ['token_embd', weights, [width, vocabulary]],
    ['output_norm', 'F32', [width]],
    ['output', weights, [width, vocabulary]],
  ];
  for (let layer = 0; layer < layers; ++layer) {
    const part = (name, type, shape) => tensors.push([`blk.${layer}.${name}`, type, shape]);
    part('attn_norm', 'F32', [width]);
    part('attn_q', weights, [width, width]);
    part('attn_k', weights, [width, kvWidth]);
    part('attn_v', weights, [width, kvWidth]);
    part('attn_output', weights, [width, width]);
    part('ffn_norm', 'F32', [width]);
    part('ffn_gate', weights, [width, inner]);
    part('ffn_up', weights, [width, inner]);
    part('ffn_down', weights, [inner, width]);
  }
  return tensors.map(([name, type, shape]) => {
    const blocks = shape.reduce((product, length) => product * length, 1) / TYPES[type].weights;
    return { name: `${name}.weight`, type, shape, bytes: blocks * TYPES[type].bytes };
  });
}

/** A SentencePiece vocabulary: three special tokens, the bytes, and made-up words. */
function vocabularyOf(count) {
  const byte = (i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`;
  const special = ['<unk>', '<s>', '</s>', ...Array.from({ length: 256 }, (_, i) => byte(i))];
  const words = Array.from({ length: count - special.length }, (_, i) => `\u2581w${i.toString(36)}`);
  const [UNKNOWN, CONTROL, BYTE, NORMAL] = [2, 3, 6, 1];
  const kinds = [UNKNOWN, CONTROL, CONTROL, ...new Array(256).fill(BYTE), ...words.map(() => NORMAL)];
  return { tokens: [...special, ...words], kinds };
}

function entriesOf({ width, layers, heads, kvHeads, inner, vocabulary }, weights) {
  const { tokens, kinds } = vocabularyOf(vocabulary);
  return [
    entry('general.architecture', 'text', 'llama'),
    entry('general.file_type', 'uint32', TYPES[weights].file),
    entry('general.quantization_version', 'uint32', 2),
    entry('llama.context_length', 'uint32', CONTEXT),
    entry('llama.embedding_length', 'uint32', width),
    entry('llama.block_count', 'uint32', layers),
    entry('llama.feed_forward_length', 'uint32', inner),
    entry('llama.attention.head_count', 'uint32', heads),
    entry('llama.attention.head_count_kv', 'uint32', kvHeads),
    entry('llama.attention.layer_norm_rms_epsilon', 'float32', 1e-5),
    entry('llama.rope.dimension_count', 'uint32', width / heads),
    entry('llama.vocab_size', 'uint32', vocabulary),
    entry('tokenizer.ggml.model', 'text', 'llama'),
    entry('tokenizer.ggml.tokens', 'texts', tokens),
    entry(
      'tokenizer.ggml.scores',
      'floats',
      tokens.map((_, i) => -i),
    ),
    entry('tokenizer.ggml.token_type', 'ints', kinds),
    entry('tokenizer.ggml.bos_token_id', 'uint32', 1),
    entry('tokenizer.ggml.eos_token_id', 'uint32', 2),
    entry('tokenizer.ggml.unknown_token_id', 'uint32', 0),
    entry('tokenizer.ggml.add_bos_token', 'bool', true),
  ];
}

const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** `weights`: one of GGUF_TYPES. Norms are ones. */
export function writeGguf(file, model, weights) {
  const tensors = tensorsOf(model, weights);
  const entries = entriesOf(model, weights);
  let offset = 0;
  const infos = tensors.map(({ name, type, shape, bytes }) => {
    const info = [text(name), uint32(shape.length), ...shape.map(uint64), uint32(TYPES[type].type), uint64(offset)];
    offset += aligned(bytes);
    return Buffer.concat(info);
  });
  const sizes = [uint32(3), uint64(tensors.length), uint64(entries.length)]; // 3: version of the format
  const header = Buffer.concat([Buffer.from('GGUF'), ...sizes, ...entries, ...infos]);
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, Buffer.concat([header, Buffer.alloc(aligned(header.length) - header.length)]));
  const random = noise(weights);
  const ones = Buffer.from(new Float32Array(model.inner).fill(1).buffer);
  for (const { type, bytes } of tensors) {
    writeRepeated(descriptor, type === 'F32' ? ones : random, bytes);
    writeSync(descriptor, Buffer.alloc(aligned(bytes) - bytes));
  }
  closeSync(descriptor);
}
