export { FeedForward, HeadProjections, SelfAttention, TransformerBlock, type BlockOptions, type Step } from './block';
export { Capture } from './capture';
export { Decoder, type DecoderInput, type DecoderOptions, type DecoderOutput } from './decoder';
export * as init from './init';
export { Embedding, Linear, Norm, type NormOptions } from './layers';
export type { Parameter, ParameterSource } from './parameters';
export { sinusoidalPositions, type SinusoidalOptions } from './positions';
export { Rotary, rotaryTables, type RotaryOptions, type RotaryScaling, type Rotation } from './rotary';
