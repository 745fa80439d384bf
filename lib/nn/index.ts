export { FeedForward, TransformerBlock, type BlockOptions } from './block';
export {
  CrossAttention,
  HeadProjections,
  SelfAttention,
  type HeadProjectionsOptions,
  type Step,
} from './cached-attention';
export { Capture } from './capture';
export { Decoder, type DecoderInput, type DecoderOptions, type DecoderOutput } from './decoder';
export { Draws, type PassOptions } from './dropout';
export { Encoder, type EncoderInput, type EncoderOptions } from './encoder';
export {
  BertSelfAttention,
  type BertSelfAttentionOptions,
  type EncoderStep,
  type Globals,
  type RelativePositions,
} from './encoder-attention';
export {
  EncoderDecoder,
  Source,
  type EncoderDecoderOptions,
  type SourceDecoder,
  type SourceInput,
} from './encoder-decoder';
export type { EncoderHeadOptions, EncoderOutputs } from './encoder-head';
export type { HeadsOptions } from './heads';
export * as init from './init';
export { Embedding, Linear, Norm, type NormOptions } from './layers';
export {
  MultiHeadAttention,
  type CachedStep,
  type MultiHeadAttentionInput,
  type MultiHeadAttentionOptions,
  type MultiHeadAttentionResult,
} from './multi-head-attention';
export { LayerNorm, RMSNorm, type LayerNormOptions, type RMSNormOptions } from './norms';
export { initialParameters, parameters, type Initializer, type Parameter, type ParameterSource } from './parameters';
export { sinusoidalPositions, type SinusoidalOptions } from './positions';
export { Rotary, rotaryTables, type RotaryOptions, type RotaryScaling, type Rotation } from './rotary';
export { TokenEmbedding, type TokenEmbeddingInput, type TokenEmbeddingOptions } from './token-embedding';
export { Transformer, type TransformerInput, type TransformerOptions } from './transformer';
export {
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type DecoderLayerInput,
  type EncoderLayerInput,
  type TransformerLayerOptions,
} from './transformer-layers';
export {
  BahdanauAttention,
  type BahdanauAttentionOptions,
  type Context,
  type ContextInput,
} from './additive-attention';
export { LongformerAttention, type LongformerAttentionOptions } from './longformer-attention';
export { LuongAttention, type LuongAttentionOptions, type LuongContext } from './luong-attention';
export {
  LinformerAttention,
  PerformerAttention,
  type KernelAttentionInput,
  type LinformerAttentionOptions,
  type PerformerAttentionOptions,
} from './linear-time-attention';
