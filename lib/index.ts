export type { AllowedTokens, GenerationOptions, UserProcessor } from './generation/options';
export type { ForwardInput, ForwardResult } from './forward';
export type { InfoOptions, ModelInfo } from './models/info';
export type { QuantizationReport, QuantizationReportOptions, QuantizedWeight } from './quantization';
export type { LoadProgress } from './models/load';
export { QueueFullError } from './native';
export * as nn from './nn/index';
export {
  activation,
  gated,
  gelu,
  relu,
  sigmoid,
  silu,
  tanh,
  type Activation,
  type GatedOptions,
  type GeluOptions,
  type SiluOptions,
} from './ops/activation';
export { abs, add, div, exp, log, maximum, minimum, mul, neg, sqrt, sub, type Operand } from './ops/arithmetic';
export { argmax } from './ops/argmax';
export {
  attention,
  type AttentionOptions,
  type AttentionResult,
  type CachedAttentionOptions,
  type Selection,
} from './ops/attention';
export { bias, Bias, type AlibiOptions, type BiasPositions, type RelativeTables, type T5BiasOptions } from './ops/bias';
export { debertaBucket, t5Bucket, type LogBucketOptions, type T5BucketOptions } from './ops/buckets';
export { cast } from './ops/cast';
export { concat, type ConcatOptions } from './ops/concat';
export { crossEntropy, type CrossEntropyOptions } from './ops/cross-entropy';
export { embedding } from './ops/embedding';
export { gatherRows } from './ops/gather-rows';
export { KVCache, type CachedKeys, type KVCacheOptions, type LayerCache } from './ops/kv-cache';
export {
  linearAttention,
  recurrentAttention,
  type KeyPadding,
  type LinearAttentionOptions,
  type LinearAttentionResult,
  type RecurrentAttentionOptions,
} from './ops/linear-attention';
export {
  favorFeatures,
  orthogonalFeatures,
  performerAttention,
  type FavorFeaturesOptions,
  type OrthogonalFeaturesOptions,
  type PerformerAttentionOptions,
} from './ops/performer';
export {
  cosineAttention,
  linformerAttention,
  localAttention,
  type CosineAttentionOptions,
  type LinformerAttentionOptions,
  type LocalAttentionOptions,
} from './ops/composed-attention';
export { dropout, random, type DropoutOptions, type RandomCounter, type RandomOptions } from './ops/random';
export { layerNorm, type LayerNormOptions, type LayerNormResult } from './ops/layer-norm';
export { linear, packWeight, type LinearOptions } from './ops/linear';
export { mask, Mask, type BigBirdOptions, type Lengths, type MaskDescription, type MaskExtent } from './ops/mask';
export { matmul } from './ops/matmul';
export { logSumExp, mean, sum, type ReduceOptions } from './ops/reduce';
export { rmsNorm, type RmsNormOptions } from './ops/rms-norm';
export { rope, rotate, type RopeOptions, type RotateOptions } from './ops/rope';
export {
  LogitsProcessor,
  logitsProcessors,
  type DryOptions,
  type FrequencyPenaltyOptions,
  type TokenBias,
} from './ops/logits-processors';
export { processLogits, type ProcessorState } from './ops/process-logits';
export {
  processorsOf,
  type ProcessorContext,
  type ProcessorOptions,
  type ProcessorOrder,
} from './generation/processors';
export { sample, type SampleOptions, type SamplingOptions } from './ops/sample';
export type { WarperOptions } from './ops/warpers';
export { scatterRows, tensorScatter, type TensorScatterOptions } from './ops/scatter';
export { logSoftmax, softmax, type SoftmaxOptions } from './ops/softmax';
export { topK, type TopKOptions } from './ops/top-k';
export { where } from './ops/where';
export { attentionMap, type AttentionMap, type AttentionMapOptions } from './ops/picture';
export { loadModel, Model, type LoadModelOptions, type ScoreOptions } from './pipeline';
export type { Generated, Timing, Usage } from './generated';
export type { FinishReason, NewTokens, Piece } from './pieces';
export { Session } from './session';
export type { TranslateOptions } from './tasks';
export type { TokenFacts } from './ops/token-report';
export type { Scored } from './score';
export type { Ids, ManyPrompts, OnePrompt, Prompt } from './prompt';
export {
  defaultDevice,
  devices,
  memory,
  setDefaultDevice,
  setMemoryLimit,
  setNumThreads,
  sync,
  trimMemory,
  type CpuInfo,
  type CudaInfo,
  type Device,
  type DeviceInfo,
  type DeviceName,
  type MemoryInfo,
} from './tensor/device';
export { scope } from './tensor/scope';
export {
  tensor,
  Tensor,
  type CacheDType,
  type DType,
  type FloatDType,
  type QuantizedDType,
  type TypedArray,
} from './tensor/tensor';
export { Detokenizer } from './tokenizer/detokenizer';
export { Tokenizer } from './tokenizer/tokenizer';
