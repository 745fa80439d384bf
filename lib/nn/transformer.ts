import { checkBoolean, checkInteger, checkOptions } from '../check';
import type { Mask } from '../ops/mask';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { drawsOf, PASS_KEYS, passOf, type PassOptions } from './dropout';
import { checkSequences } from './heads';
import { LayerNorm } from './norms';
import { checkSource, join, type ParameterSource } from './parameters';
import {
  checkLayerOptions,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type DecoderLayerInput,
  type EncoderLayerInput,
  type TransformerLayerOptions,
} from './transformer-layers';

export interface TransformerOptions extends TransformerLayerOptions {
  numEncoderLayers: number;
  numDecoderLayers: number;
  /** A norm behind each stack, as PyTorch's nn.Transformer has it whether its layers are pre-norm or not. Default true. */
  finalNorm?: boolean | undefined;
}

export interface TransformerInput extends PassOptions {
  /** Which tokens of the source its tokens may attend to; default: all. */
  sourceMask?: Mask | undefined;
  /** Which tokens of the target its tokens may attend to; default: all, so a decoder wants `mask.causal()`. */
  targetMask?: Mask | undefined;
  /** Which tokens of the source those of the target may attend to; default: all. */
  memoryMask?: Mask | undefined;
}

const NAME = 'Transformer';

/** x through all layers; what is between them goes when it has been read. */
function through<Layer>(layers: readonly Layer[], x: Tensor, run: (layer: Layer, x: Tensor) => Tensor): Tensor {
  return layers.reduce((before, layer) => {
    const after = run(layer, before);
    if (before !== x) before.dispose();
    return after;
  }, x);
}

/**
 * The Transformer (Vaswani et al., 2017, section 3.1) between embeddings and output head, post-norm or pre-norm.
 * Parameters by the names of PyTorch's nn.Transformer: `encoder.layers.0.…`, `encoder.norm.…`, `decoder.layers.0.…`,
 * `decoder.norm.…`.
 */
export class Transformer implements Disposable {
  readonly #encoder: readonly TransformerEncoderLayer[];
  readonly #encoderNorm: LayerNorm | undefined;
  readonly #decoder: readonly TransformerDecoderLayer[];
  readonly #decoderNorm: LayerNorm | undefined;

  /**
   * @param path of the whole in the source; '' if it stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: TransformerOptions,
  ) {
    checkSource(NAME, source, path);
    const layer = checkLayerOptions(NAME, options, ['numEncoderLayers', 'numDecoderLayers', 'finalNorm']);
    const { numEncoderLayers, numDecoderLayers, finalNorm = true } = options;
    checkInteger(NAME, 'numEncoderLayers', numEncoderLayers, 1, 2 ** 16);
    checkInteger(NAME, 'numDecoderLayers', numDecoderLayers, 1, 2 ** 16);
    checkBoolean(NAME, 'finalNorm', finalNorm);
    const { width, eps } = layer;
    const normOf = (stack: string) =>
      finalNorm ? new LayerNorm(source, join(path, `${stack}.norm`), { width, eps }) : undefined;
    const place = (stack: string, i: number) => join(path, `${stack}.layers.${i}`);
    this.#encoder = Array.from(
      { length: numEncoderLayers },
      (_, i) => new TransformerEncoderLayer(source, place('encoder', i), layer),
    );
    this.#encoderNorm = normOf('encoder');
    this.#decoder = Array.from(
      { length: numDecoderLayers },
      (_, i) => new TransformerDecoderLayer(source, place('decoder', i), layer),
    );
    this.#decoderNorm = normOf('decoder');
  }

  /**
   * The encoder's output.
   *
   * @param source [B, Ts, C]: embeddings, of the parameters' dtype.
   * @returns [B, Ts, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  encode(source: Tensor, input: EncoderLayerInput = {}): Tensor {
    const name = `${NAME}.encode`;
    checkOptions(name, input, ['mask', 'bias', ...PASS_KEYS]);
    checkSequences(name, 'source', source, this.options.width);
    const within = { ...input, ...passOf(drawsOf(name, input)) };
    return scope(() => {
      const memory = through(this.#encoder, source, (layer, x) => layer.forward(x, within));
      return this.#encoderNorm?.forward(memory) ?? memory;
    });
  }

  /**
   * The decoder's output.
   *
   * @param target [B, Tt, C]: embeddings, of the parameters' dtype.
   * @param memory [B, Ts, C]: the encoder's output.
   * @returns [B, Tt, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  decode(target: Tensor, memory: Tensor, input: DecoderLayerInput = {}): Tensor {
    const name = `${NAME}.decode`;
    checkOptions(name, input, ['mask', 'bias', 'memoryMask', ...PASS_KEYS]);
    checkSequences(name, 'target', target, this.options.width);
    checkSequences(name, 'memory', memory, this.options.width);
    const within = { ...input, ...passOf(drawsOf(name, input)) };
    return scope(() => {
      const output = through(this.#decoder, target, (layer, x) => layer.forward(x, memory, within));
      return this.#decoderNorm?.forward(output) ?? output;
    });
  }

  /** `decode` of the target with what `encode` makes of the source: [B, Ts, C], [B, Tt, C] → [B, Tt, C]. */
  forward(source: Tensor, target: Tensor, input: TransformerInput = {}): Tensor {
    checkOptions(NAME, input, ['sourceMask', 'targetMask', 'memoryMask', ...PASS_KEYS]);
    const { sourceMask, targetMask, memoryMask } = input;
    const pass = passOf(drawsOf(NAME, input));
    return scope(() => {
      const memory = this.encode(source, { mask: sourceMask, ...pass });
      return this.decode(target, memory, { mask: targetMask, memoryMask, ...pass });
    });
  }

  [Symbol.dispose](): void {
    const norms = [this.#encoderNorm, this.#decoderNorm];
    for (const part of [...this.#encoder, ...this.#decoder, ...norms]) part?.[Symbol.dispose]();
  }
}
