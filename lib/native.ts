import * as path from 'node:path';
import load = require('node-gyp-build');

/** Element types of activations, weights and caches. */
export type FloatDType = 'float32' | 'float16' | 'bfloat16';
/** Element types of caches: int8 with a scale for each key and each value. */
export type CacheDType = FloatDType | 'int8';
/** What weights of `linear` can be quantized to: see packWeight. */
export type QuantizedDType = 'int8' | 'int4';
/** Element types. Token ids, positions and lengths are int32; a bool is a byte, 0 or 1. */
export type DType = FloatDType | 'int32' | 'bool' | QuantizedDType;
/** Devices by number: 'cuda' is the first. */
export type DeviceName = 'cpu' | `cuda:${number}`;
/** What their elements come in: those of all float dtypes in a Float32Array. */
export type TypedArray = Float32Array | Int32Array | Uint8Array;

/**
 * The one typed door to the addon. Tensors, programs, channels and files are numbers here; 0 stands for an absent
 * tensor. Devices are numbers too: -1 the CPU, n CUDA device n. The native side checks what a tensor is (shapes,
 * dtypes, disposal); kinds of arguments are checked before.
 */
export interface Native {
  createTensor(values: TypedArray, shape: readonly number[], dtype: DType, device: number): number;
  emptyTensor(shape: readonly number[], dtype: DType, device: number): number;
  describe(tensor: number): { dtype: DType; shape: number[]; device: DeviceName; packed: boolean };
  isAlive(tensor: number): boolean;
  disposeTensor(tensor: number): boolean;
  reshape(tensor: number, shape: readonly number[]): number;
  transpose(tensor: number, a: number, b: number): number;
  slice(tensor: number, axis: number, begin: number, end: number): number;
  toDevice(tensor: number, device: number): number;
  read(tensor: number): Promise<TypedArray>;
  readBytes(tensor: number): Promise<Uint8Array>;
  readInto(tensor: number, into: TypedArray): Promise<TypedArray>;
  /** Resolves when the tensor has its value. */
  ready(tensor: number): Promise<void>;
  /** A promise a device that was used. */
  sync(): Promise<void>[];

  /** Opens the CUDA library, if nobody has: some tenths of a second where there is a driver. */
  cudaDevices(): {
    reason: string;
    devices: { name: string; memory: number; computeCapability: string; reason: string }[];
  };
  /** The same in the background. */
  findDevices(): Promise<void>;
  memory(device: number): { live: number; used: number; cached: number; peak: number; pending: number };
  trim(device: number): void;
  /** Below 0: no limit. */
  setMemoryLimit(bytes: number, device: number): void;
  numThreads(): number;
  setNumThreads(count: number): void;
  instructionSet(): string;
  setProfiling(on: boolean, device: number): void;
  kernelNs(device: number): number;
  /** Steps of programs that a device with graphs took as one launch each, so far. */
  graphSteps(device: number): number;
  defineQueueFullError(errorClass: typeof QueueFullError): void;

  add(a: number, b: number): number;
  sub(a: number, b: number): number;
  mul(a: number, b: number): number;
  div(a: number, b: number): number;
  maximum(a: number, b: number): number;
  minimum(a: number, b: number): number;
  where(condition: number, a: number, b: number): number;
  cast(x: number, dtype: DType): number;
  activation(x: number, activation: number): number;
  gelu(x: number): number;
  geluTanh(x: number): number;
  silu(x: number, alpha: number): number;
  relu(x: number): number;
  tanh(x: number): number;
  sigmoid(x: number): number;
  exp(x: number): number;
  log(x: number): number;
  sqrt(x: number): number;
  neg(x: number): number;
  abs(x: number): number;
  gated(gate: number, up: number, activation: number): number;
  embedding(table: number, ids: number, dtype: FloatDType | ''): number;
  gatherRows(x: number, index: number): number;
  scatterRows(x: number, index: number, rows: number): number;
  tensorScatter(cache: number, update: number, writeIndices: number, axis: number, circular: boolean): number;
  concat(tensors: readonly number[], axis: number): number;
  matmul(a: number, b: number): number;
  topK(x: number, k: number, axis: number, largest: boolean, sorted: boolean): [values: number, indices: number];
  linear(x: number, weight: number, bias: number, residual: number, activation: number, float32Out: boolean): number;
  /** A float dtype stands for the weight's own. */
  pack(weight: number, dtype: FloatDType | QuantizedDType): number;
  rmsNorm(
    x: number,
    residual: number,
    weight: number,
    eps: number,
    offset: number,
    axis: number,
  ): [output: number, sum: number];
  rope(x: number, positions: number, frequencies: number, factor: number, interleaved: boolean): number;
  rotate(x: number, cos: number, sin: number, positions: number, interleaved: boolean): number;
  dynamicFrequencies(last: number, base: number, factor: number, maxPositions: number, rotaryWidth: number): number;
  /** Those of the four that are not asked for are 0. */
  layerNorm(
    x: number,
    residual: number,
    weight: number,
    bias: number,
    eps: number,
    axis: number,
    unbiased: boolean,
    returnStats: boolean,
  ): [output: number, sum: number, mean: number, inverseDeviation: number];
  softmax(x: number, axis: number): number;
  logSoftmax(x: number, axis: number): number;
  sum(x: number, axis: number | undefined, keepAxis: boolean): number;
  mean(x: number, axis: number | undefined, keepAxis: boolean): number;
  logSumExp(x: number, axis: number | undefined, keepAxis: boolean): number;
  crossEntropy(logits: number, labels: number, ignored: number, smoothing: number, mean: boolean): number;
  argmax(x: number): number;
  /** `logProbs` is 0 unless it is asked for. */
  sample(
    logits: number,
    keys: number,
    steps: number,
    mu: number,
    targetSurprise: number,
    learningRate: number,
    returnLogProbs: boolean,
  ): [tokens: number, logProbs: number];
  processLogits(logits: number, code: Int32Array, rows: number, ...state: ProcessorHandles): number;
  tokenReport(logits: number, tokens: number, alternatives: number): number;
  endOfSequence(chosen: number, ends: number, pad: number, tokens: number, finished: number): void;
  appendKV(
    k: number,
    v: number,
    cuSeqlens: number,
    pages: number,
    blockTable: number,
    lengths: number,
    valueWidth: number,
  ): void;
  advanceLengths(cuSeqlens: number, lengths: number): void;
  reorderCache(sources: number, group: number, blockTable: number, lengths: number): number;
  copyPages(copies: number, pages: number): void;
  reorderRows(sources: number, group: number, x: number): void;
  appendTokens(tokens: number, history: number, lengths: number): void;
  beamStep(
    ...args: [
      ...[scores: number, candidates: number, ends: number],
      ...[sums: number, hypotheses: number, counts: number, done: number, steps: number],
      ...[tokens: number, sources: number],
      ...[rowsPerProblem: number, firstRow: number, pad: number],
      ...[earlyStopping: number, lengthPenalty: number, maxSteps: number],
    ]
  ): void;
  gumbelNoise(x: number, keys: number, steps: number): number;
  attention(
    ...args: [q: number, k: number, v: number, ...settings: AttentionSettings]
  ): [output: number, lse: number, ...scores: number[]];
  cachedAttention(
    ...args: [
      ...[q: number, cuSeqlens: number, pages: number, blockTable: number, lengths: number, valueWidth: number],
      cross: boolean,
      ...settings: AttentionSettings,
    ]
  ): [output: number, lse: number, ...scores: number[]];
  random(
    seed: number,
    step: number,
    normal: boolean,
    first: number,
    second: number,
    dtype: DType,
    shape: readonly number[],
  ): number;
  dropout(x: number, seed: number, step: number, p: number): number;
  orthogonalize(x: number, keepLengths: boolean, scale: number): number;
  favorFeatures(
    x: number,
    projection: number,
    padding: number,
    softmax: boolean,
    queries: boolean,
    eps: number,
  ): number;
  /** `newState` is 0 unless it is asked for. */
  linearAttention(
    q: number,
    k: number,
    v: number,
    padding: number,
    state: number,
    features: number,
    causal: boolean,
    eps: number,
    returnState: boolean,
  ): [output: number, newState: number];
  recurrentAttention(
    q: number,
    k: number,
    v: number,
    decay: number,
    beta: number,
    erase: number,
    padding: number,
    state: number,
    scale: number,
    returnState: boolean,
  ): [output: number, newState: number];
  /** The last arguments: offsets, [B, H, Tq, Tk]. */
  maskToArray(...args: [...MaskHandles, offsets: number, shape: readonly number[]]): number;
  countMaskTiles(...args: [...MaskHandles, offsets: number, shape: readonly number[]]): number;
  pageElements(keyWidth: number, valueWidth: number, dtype: CacheDType): number;

  beginRecording(): void;
  endRecording(): number;
  cancelRecording(): void;
  runProgram(program: number): void;
  runLoop(program: number, channel: number, maxSteps: number): void;
  disposeProgram(program: number): boolean;
  /** Something is awaited: the process stays alive until as many letGo(). */
  hold(): void;
  letGo(): void;
  openChannel(
    device: number,
    callback: (
      tokens: Int32Array,
      finishedLoops: number,
      steps: number,
      done: boolean,
      error: Error | undefined,
    ) => void,
  ): number;
  stopChannel(channel: number): void;
  abortChannel(channel: number): void;
  disposeChannel(channel: number): boolean;
  emit(tokens: number, finished: number, channel: number): void;
  /** What is queued on the channel's device from here on runs only while the channel is not aborted; or in any case. */
  setAbortSource(channel: number, on: boolean): void;

  readSafetensorsHeader(file: string): {
    dataStart: number;
    metadata: Record<string, string>;
    entries: { name: string; dtype: string; shape: number[]; begin: number; end: number }[];
  };
  openFile(file: string, device: number): number;
  closeFile(file: number): void;
  loadWeight(
    file: number,
    offset: number,
    dtype: string,
    shape: readonly number[],
    transposed: boolean,
    packed: boolean,
    name: string,
    as: FloatDType | QuantizedDType,
  ): number;
}

/** What processors of logits may read of their sequences; 0 for what is absent. */
export type ProcessorHandles = [
  ...[history: number, lengths: number, promptLengths: number, maxLengths: number],
  ...[source: number, sourceLengths: number, groupTokens: number],
  ...[keys: number, steps: number, mu: number],
];

/** A mask's code (undefined: every key) and the tensors that its pieces name. */
export type MaskHandles = [code: Int32Array | undefined, data0: number, data1: number, data2: number, data3: number];

/** A bias's code (undefined: none), what its terms name, and positions of queries and keys. */
export type BiasHandles = [
  ...[code: Int32Array | undefined, data0: number, data1: number, data2: number, data3: number],
  ...[queryPositions: number, keyPositions: number],
];
/** Which scores are wanted: see the native AttentionScores. */
export type ScoreWish = [
  ...[stage: number, rows: Int32Array | undefined, heads: Int32Array | undefined],
  ...[low: number, distances: number],
];
/** What attention takes beside queries, keys and values; 0 for no soft cap, sinks and offsets. */
export type AttentionSettings = [
  ...[scale: number, softcap: number, causal: boolean, sinks: number, offsets: number],
  ...MaskHandles,
  ...BiasHandles,
  ...[returnLse: boolean, scores: readonly ScoreWish[]],
];

/** Too much is queued, or the memory limit is reached: `await sync()`, or dispose of tensors. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';
  readonly code = 'QUEUE_FULL';
}

function loadAddon(): Native {
  const root = path.resolve(__dirname, '..');
  let addon: Native;
  try {
    addon = load(root) as Native;
  } catch (cause) {
    if (cause instanceof RangeError) throw cause; // a wrong HEDDLE_CPU or HEDDLE_NUM_THREADS
    throw new Error(
      `heddle has no native library for ${process.platform}-${process.arch}, or it does not load. ` +
        '`npx heddle build` makes one (it needs CMake and a C++17 compiler).',
      { cause },
    );
  }
  addon.defineQueueFullError(QueueFullError);
  return addon;
}

export const native = loadAddon();
