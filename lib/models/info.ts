import { checkInteger, checkOptions } from '../check';
import type { Decoder } from '../nn/decoder';
import type { DeviceName } from '../tensor/device';
import type { Parameter } from '../nn/parameters';
import { isQuantized, type CacheDType, type FloatDType, type QuantizedDType } from '../tensor/tensor';

export interface InfoOptions {
  /** Tokens of a prompt; default: the context length. */
  length?: number | undefined;
  /** Sequences; default 1. */
  batch?: number | undefined;
  /** Bytes that weights and cache may take, for `fits`. */
  memory?: number | undefined;
}

export interface ModelInfo {
  readonly architecture: string;
  readonly device: DeviceName;
  readonly dtype: FloatDType;
  /** Of the weights of linear layers; undefined where they have `dtype`, too. */
  readonly quantize: QuantizedDType | undefined;
  /** Of cached keys and values. */
  readonly cacheDtype: CacheDType;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly numLayers: number;
  readonly width: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Numbers of parameters. A tied head counts as embedding. */
  readonly parameters: {
    total: number;
    embedding: number;
    attention: number;
    feedForward: number;
    norm: number;
    head: number;
  };
  readonly weightBytes: number;
  /** Keys and values of all layers, with their scales. */
  readonly cacheBytesPerToken: number;
  /** Multiplications and additions of matrix products, two a multiply-add. */
  readonly flops: {
    /** Of one token behind `length` - 1 others. */
    perToken: number;
    /** Of a prompt of `length` tokens, with logits for the last. */
    prompt: number;
  };
  /** What `memory` bytes have room for, activations not counted; undefined without `memory`. */
  readonly fits: { batchAtLength: number; lengthAtBatch: number } | undefined;
  /** What is known of training a model of this size. */
  readonly training: {
    /** Training tokens at which it is the best use of its compute: 20 a parameter (Hoffmann et al., 2022, table A9). */
    chinchillaTokens: number;
    /** Of that many tokens: 6 operations a parameter and token (Kaplan et al., 2020, section 2.1). */
    chinchillaFlops: number;
    /** Nats a token after them: 1.69 + 406.4 / N^0.34 + 410.7 / D^0.28 (Hoffmann et al., 2022, section D.3). */
    chinchillaLoss: number;
    /** Nats a token with data without end: (8.8e13 / N)^0.076, N without embeddings (Kaplan et al., 2020, eq. 1.1). */
    kaplanLoss: number;
  };
}

/** Keys of a page: the unit in which caches grow. */
const PAGE_KEYS = 64;

function partOf(path: string): 'embedding' | 'attention' | 'feedForward' | 'norm' | 'head' {
  if (/^(tokens|positions)\./.test(path)) return 'embedding';
  if (/^head\./.test(path)) return 'head';
  if (/(^|\.)(\w*Norm|norm)\.(weight|bias)$/.test(path)) return 'norm';
  return path.includes('.attention.') ? 'attention' : 'feedForward';
}

/** Bytes of a parameter's numbers and, quantized, of their scales: see packWeight. */
function bytesOf({ shape, dtype }: Parameter): number {
  const size = shape.reduce((a, b) => a * b, 1);
  const [rows = 1, inputs = 1] = shape;
  if (dtype === 'int8') return size + 4 * rows;
  if (dtype === 'int4') return rows * (17 * Math.ceil(inputs / 32) + 4);
  return size * (dtype === 'float32' ? 4 : 2);
}

/** What can be said of a model without running it. */
export function describeModel(
  decoder: Pick<Decoder, 'options' | 'parameters' | 'device' | 'dtype' | 'cacheDtype'>,
  architecture: string,
  options: InfoOptions = {},
): ModelInfo {
  const name = 'Model.info';
  checkOptions(name, options, ['length', 'batch', 'memory']);
  const { vocabSize, contextLength, numLayers, width, numHeads, numKvHeads, headDim } = decoder.options;
  const { length = contextLength, batch = 1, memory } = options;
  checkInteger(name, 'length', length, 1);
  checkInteger(name, 'batch', batch, 1);
  if (memory !== undefined) checkInteger(name, 'memory', memory, 0);

  const count = { total: 0, embedding: 0, attention: 0, feedForward: 0, norm: 0, head: 0 };
  const parameters = decoder.parameters.map(({ path, shape }) => ({ path, size: shape.reduce((a, b) => a * b, 1) }));
  for (const { path, size } of parameters) {
    count.total += size;
    count[partOf(path)] += size;
  }
  const { dtype, cacheDtype } = decoder;
  const headBytes = cacheDtype === 'int8' ? headDim + 4 : headDim * (cacheDtype === 'float32' ? 4 : 2);
  const weightBytes = decoder.parameters.reduce((sum, parameter) => sum + bytesOf(parameter), 0);
  const cacheBytesPerToken = 2 * numLayers * numKvHeads * headBytes;

  // A matrix is met by every token; a query meets the keys up to its own.
  const matrices = parameters.filter(({ path }) => ['attention', 'feedForward'].includes(partOf(path)));
  const perTokenMatrices = 2 * matrices.reduce((sum, { path, size }) => (path.endsWith('.weight') ? sum + size : sum), 0);
  const perPair = 4 * numLayers * numHeads * headDim; // q · k, and p · v
  const head = 2 * vocabSize * width;
  const pairs = (length * (length + 1)) / 2;

  const pages = (tokens: number) => Math.ceil(tokens / PAGE_KEYS) * PAGE_KEYS;
  const room = Math.max(0, (memory ?? 0) - weightBytes) / cacheBytesPerToken;
  const scale = count.total;
  const inner = Math.max(1, count.total - count.embedding - count.head);
  const chinchillaTokens = 20 * scale;
  return {
    ...{ architecture, device: decoder.device, dtype, cacheDtype },
    quantize: decoder.parameters.map(({ dtype }) => dtype).find(isQuantized),
    ...{ vocabSize, contextLength, numLayers, width, numHeads, numKvHeads, headDim },
    parameters: count,
    weightBytes,
    cacheBytesPerToken,
    flops: {
      perToken: perTokenMatrices + perPair * length + head,
      prompt: perTokenMatrices * length + perPair * pairs + head,
    },
    fits:
      memory === undefined
        ? undefined
        : {
            batchAtLength: Math.floor(room / pages(length)),
            lengthAtBatch: Math.floor(room / batch / PAGE_KEYS) * PAGE_KEYS,
          },
    training: {
      chinchillaTokens,
      chinchillaFlops: 6 * scale * chinchillaTokens,
      chinchillaLoss: 1.69 + 406.4 / scale ** 0.34 + 410.7 / chinchillaTokens ** 0.28,
      kaplanLoss: (8.8e13 / inner) ** 0.076,
    },
  };
}
