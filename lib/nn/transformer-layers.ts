import { checkBoolean, checkInteger, checkNumber, checkOneOf, checkOptions, rangeError } from '../check';
import { ACTIVATIONS, type Activation } from '../ops/activation';
import { add } from '../ops/arithmetic';
import type { Bias } from '../ops/bias';
import type { Mask } from '../ops/mask';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { checkDropout, drawsOf, drop, PASS_KEYS, passOf, type Draws, type PassOptions } from './dropout';
import { checkSequences } from './heads';
import { Linear, type Norm } from './layers';
import { MultiHeadAttention } from './multi-head-attention';
import { LayerNorm } from './norms';
import { checkSource, join, type ParameterSource } from './parameters';

/** As PyTorch's nn.TransformerEncoderLayer and nn.TransformerDecoderLayer have them. */
export interface TransformerLayerOptions {
  /** C: d_model. */
  width: number;
  /** H: nhead. */
  numHeads: number;
  /** Of the feed-forward layer: dim_feedforward. */
  innerWidth: number;
  /** Default 'relu'. */
  activation?: Activation | undefined;
  /** Norms come before attention and feed-forward layer (Xiong et al., 2020), not after their sums: norm_first. Default false. */
  preNorm?: boolean | undefined;
  /** layer_norm_eps. Default 1e-5. */
  eps?: number | undefined;
  /** Probability that an element or a weight is dropped, in a pass with dropout. Default 0. */
  dropout?: number | undefined;
}

export const LAYER_KEYS = ['width', 'numHeads', 'innerWidth', 'activation', 'preNorm', 'eps', 'dropout'] as const;

export interface EncoderLayerInput extends PassOptions {
  /** Which tokens a token may attend to; default: all. */
  mask?: Mask | undefined;
  /** Added to the scores, before the mask. */
  bias?: Bias | undefined;
}

export interface DecoderLayerInput extends EncoderLayerInput {
  /** Which tokens of the memory a token may attend to; default: all. */
  memoryMask?: Mask | undefined;
}

/** For layers: options of one, with defaults. */
export function checkLayerOptions(
  name: string,
  options: TransformerLayerOptions,
  more: readonly string[] = [],
): Required<TransformerLayerOptions> {
  checkOptions(name, options, [...LAYER_KEYS, ...more]);
  const { width, numHeads, innerWidth, activation = 'relu', preNorm = false, eps = 1e-5, dropout = 0 } = options ?? {};
  for (const [key, value] of Object.entries({ width, numHeads, innerWidth })) {
    checkInteger(name, key, value, 1, 2 ** 24);
  }
  if (width % numHeads !== 0) throw rangeError(name, 'width', `a multiple of numHeads ${numHeads}`, width);
  checkOneOf(name, 'activation', activation, ACTIVATIONS);
  checkBoolean(name, 'preNorm', preNorm);
  checkNumber(name, 'eps', eps);
  checkDropout(name, dropout);
  return { width, numHeads, innerWidth, activation, preNorm, eps, dropout };
}

/** What encoder and decoder layers share: sublayers in residual connections, the last one the feed-forward layer. */
class Sublayers implements Disposable {
  readonly settings: Required<TransformerLayerOptions>;
  readonly attentions: readonly MultiHeadAttention[];
  readonly #linear1: Linear;
  readonly #linear2: Linear;
  readonly #norms: Norm[];

  constructor(
    name: string,
    source: ParameterSource,
    path: string,
    options: TransformerLayerOptions,
    attentions: readonly string[],
  ) {
    checkSource(name, source, path);
    this.settings = checkLayerOptions(name, options);
    const { width, numHeads, innerWidth, eps, dropout } = this.settings;
    this.attentions = attentions.map(
      (part) => new MultiHeadAttention(source, join(path, part), { width, numHeads, dropout }),
    );
    this.#linear1 = Linear.load(source, join(path, 'linear1'), [innerWidth, width], true);
    this.#linear2 = Linear.load(source, join(path, 'linear2'), [width, innerWidth], true);
    const norm = (_: unknown, i: number) => new LayerNorm(source, join(path, `norm${i + 1}`), { width, eps });
    this.#norms = Array.from({ length: attentions.length + 1 }, norm);
  }

  /** Sublayer i with its norm and residual connection. */
  connect(i: number, x: Tensor, draws: Draws | undefined, sublayer: (x: Tensor) => Tensor): Tensor {
    const { preNorm, dropout } = this.settings;
    const norm = this.#norms[i] as Norm;
    if (preNorm) return add(x, drop(sublayer(norm.forward(x)), dropout, draws));
    return norm.forward(add(x, drop(sublayer(x), dropout, draws)));
  }

  /** Position-wise feed-forward layer (Vaswani et al., 2017, section 3.3). */
  feedForward(x: Tensor, draws: Draws | undefined): Tensor {
    const { activation, dropout } = this.settings;
    return this.connect(this.attentions.length, x, draws, (y) =>
      this.#linear2.forward(drop(this.#linear1.forward(y, { activation }), dropout, draws)),
    );
  }

  [Symbol.dispose](): void {
    for (const part of [...this.attentions, this.#linear1, this.#linear2, ...this.#norms]) part[Symbol.dispose]();
  }
}

/**
 * A layer of an encoder: self-attention and a feed-forward layer (Vaswani et al., 2017, section 3.1). Parameters by the
 * names of PyTorch's nn.TransformerEncoderLayer: `self_attn.…` (see `HeadsOptions`), `linear1.…`, `linear2.…`, `norm1.…`,
 * `norm2.…`.
 */
export class TransformerEncoderLayer implements Disposable {
  readonly #sublayers: Sublayers;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: TransformerLayerOptions,
  ) {
    this.#sublayers = new Sublayers('TransformerEncoderLayer', source, path, options, ['self_attn']);
  }

  /**
   * @param x [B, T, C], of the parameters' dtype.
   * @returns [B, T, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(x: Tensor, input: EncoderLayerInput = {}): Tensor {
    const name = 'TransformerEncoderLayer';
    checkOptions(name, input, ['mask', 'bias', ...PASS_KEYS]);
    checkSequences(name, 'x', x, this.options.width);
    const { mask, bias } = input;
    const draws = drawsOf(name, input);
    const sublayers = this.#sublayers;
    const [attention] = sublayers.attentions as [MultiHeadAttention];
    return scope(() => {
      const attended = sublayers.connect(0, x, draws, (y) => attention.forward(y, { mask, bias, ...passOf(draws) }));
      return sublayers.feedForward(attended, draws);
    });
  }

  [Symbol.dispose](): void {
    this.#sublayers[Symbol.dispose]();
  }
}

/**
 * A layer of a decoder: self-attention, attention to an encoder's output and a feed-forward layer (Vaswani et al., 2017,
 * section 3.1). Parameters by the names of PyTorch's nn.TransformerDecoderLayer: `self_attn.…`, `multihead_attn.…`,
 * `linear1.…`, `linear2.…`, `norm1.…` to `norm3.…`.
 */
export class TransformerDecoderLayer implements Disposable {
  readonly #sublayers: Sublayers;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: TransformerLayerOptions,
  ) {
    this.#sublayers = new Sublayers('TransformerDecoderLayer', source, path, options, ['self_attn', 'multihead_attn']);
  }

  /**
   * @param x [B, Tq, C], of the parameters' dtype. Without a mask, tokens attend to later ones, too: `mask.causal()`.
   * @param memory [B, Tk, C]: the encoder's output.
   * @returns [B, Tq, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(x: Tensor, memory: Tensor, input: DecoderLayerInput = {}): Tensor {
    const name = 'TransformerDecoderLayer';
    checkOptions(name, input, ['mask', 'bias', 'memoryMask', ...PASS_KEYS]);
    checkSequences(name, 'x', x, this.options.width);
    checkSequences(name, 'memory', memory, this.options.width);
    const { mask, bias, memoryMask } = input;
    const draws = drawsOf(name, input);
    const sublayers = this.#sublayers;
    const [self, cross] = sublayers.attentions as [MultiHeadAttention, MultiHeadAttention];
    return scope(() => {
      const pass = passOf(draws);
      const own = sublayers.connect(0, x, draws, (y) => self.forward(y, { mask, bias, ...pass }));
      const crossed = sublayers.connect(1, own, draws, (y) =>
        cross.forward(y, { keys: memory, mask: memoryMask, ...pass }),
      );
      return sublayers.feedForward(crossed, draws);
    });
  }

  [Symbol.dispose](): void {
    this.#sublayers[Symbol.dispose]();
  }
}
