export type { GenerationOptions } from './generation/options';
export type { ForwardInput, ForwardResult } from './forward';
export type { InfoOptions, ModelInfo } from './models/info';
export type { LoadProgress } from './models/load';
export { QueueFullError } from './native';
export * as nn from './nn/index';
export { gated, gelu, relu, silu, type Activation, type GatedOptions, type GeluOptions } from './ops/activation';
export { add } from './ops/add';
export { argmax } from './ops/argmax';
export {
  attention,
  type AttentionOptions,
  type AttentionResult,
  type CachedAttentionOptions,
  type Selection,
} from './ops/attention';
export { bias, Bias, type AlibiOptions, type BiasPositions, type RelativeTables } from './ops/bias';
export { debertaBucket, t5Bucket, type LogBucketOptions, type T5BucketOptions } from './ops/buckets';
export { cast } from './ops/cast';
export { embedding } from './ops/embedding';
export { gatherRows } from './ops/gather-rows';
export { KVCache, type KVCacheOptions, type LayerCache } from './ops/kv-cache';
export { layerNorm, type LayerNormOptions } from './ops/layer-norm';
export {
  linearAttention,
  recurrentAttention,
  type KeyPadding,
  type LinearAttentionOptions,
  type LinearAttentionResult,
  type RecurrentAttentionOptions,
} from './ops/linear-attention';
export { linear, packWeight, type LinearOptions } from './ops/linear';
export { mask, Mask, type Lengths, type MaskDescription, type MaskExtent } from './ops/mask';
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
export { rmsNorm, type RmsNormOptions } from './ops/rms-norm';
export { rope, type RopeOptions } from './ops/rope';
export { sample, type SampleOptions, type SamplingOptions } from './ops/sample';
export { logSoftmax, softmax } from './ops/softmax';
export { loadModel, Model, type Generated, type LoadModelOptions, type ScoreOptions } from './pipeline';
export type { FinishReason, Piece } from './pieces';
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
export { tensor, Tensor, type DType, type FloatDType, type TypedArray } from './tensor/tensor';
export { Detokenizer } from './tokenizer/detokenizer';
export { Tokenizer } from './tokenizer/tokenizer';
