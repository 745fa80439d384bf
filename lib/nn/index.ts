export { FeedForward, SelfAttention, TransformerBlock, type BlockOptions, type Step } from './block';
export { Decoder, type DecoderInput, type DecoderOptions, type DecoderOutput } from './decoder';
export * as init from './init';
export { Embedding, Linear, Norm, type NormOptions } from './layers';
export type { Parameter, ParameterSource } from './parameters';
export { sinusoidalPositions, type SinusoidalOptions } from './positions';
export { Rotary, type RotaryOptions, type RotaryScaling, type Rotation } from './rotary';
