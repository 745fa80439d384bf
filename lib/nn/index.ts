export { FeedForward, SelfAttention, TransformerBlock, type BlockOptions, type Step } from './block';
export { Decoder, type DecoderInput, type DecoderOptions, type DecoderOutput } from './decoder';
export { Embedding, LayerNorm, Linear } from './layers';
export type { ParameterSource } from './parameters';
