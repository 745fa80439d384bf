import { checkBoolean, checkInteger, checkOneOf, rangeError } from '../check';
import { packWeight } from '../ops/linear';
import { scope } from '../tensor/scope';
import { shapeOf, type Tensor } from '../tensor/tensor';
import { Linear } from './layers';
import { checkSource, join, type ParameterSource } from './parameters';

const PROJECTIONS = ['separate', 'fused', 'fusedByHead'] as const;

export interface HeadsOptions {
  /** C, of queries and of the output: a multiple of numHeads. */
  width: number;
  /** H */
  numHeads: number;
  /** Ck, of what becomes keys. Default width. */
  keyWidth?: number | undefined;
  /** Cv, of what becomes values. Default width. */
  valueWidth?: number | undefined;
  /** All four projections have biases. Default true. */
  bias?: boolean | undefined;
  /**
   * How the source has the projections of queries, keys and values. 'separate': `q_proj_weight` [C, C], `k_proj_weight`
   * [C, Ck] and `v_proj_weight` [C, Cv]. 'fused': `in_proj_weight` [3 C, C], all queries first. 'fusedByHead': the same,
   * but queries, keys and values of the first head, of the second … (BLOOM, GPT-NeoX). Default, as in PyTorch: 'fused',
   * 'separate' where the widths differ.
   */
  projection?: (typeof PROJECTIONS)[number] | undefined;
}

export const HEADS_KEYS = ['width', 'numHeads', 'keyWidth', 'valueWidth', 'bias', 'projection'] as const;

/**
 * The projections of multi-head attention (Vaswani et al., 2017, section 3.2.2), by the names of PyTorch's
 * nn.MultiheadAttention: weights as `HeadsOptions` says, `in_proj_bias` [3 C] in the same order, `out_proj.weight` [C, C],
 * `out_proj.bias` [C].
 */
export class Heads implements Disposable {
  readonly headDim: number;
  readonly #projections: Record<'q' | 'k' | 'v', Linear>;
  readonly #output: Linear;

  /** `name` is that of the layer, for errors. */
  constructor(
    readonly name: string,
    source: ParameterSource,
    path: string,
    readonly options: HeadsOptions,
  ) {
    checkSource(name, source, path);
    const { width, numHeads, keyWidth = width, valueWidth = width, bias = true } = options;
    const alike = keyWidth === width && valueWidth === width;
    const { projection = alike ? 'fused' : 'separate' } = options;
    for (const [key, value] of Object.entries({ width, numHeads, keyWidth, valueWidth })) {
      checkInteger(name, key, value, 1, 2 ** 24);
    }
    if (width % numHeads !== 0) throw rangeError(name, 'width', `a multiple of numHeads ${numHeads}`, width);
    checkBoolean(name, 'bias', bias);
    checkOneOf(name, 'projection', projection, PROJECTIONS);
    if (!alike && projection !== 'separate') {
      throw rangeError(name, 'projection', "'separate' where keyWidth or valueWidth is not width", projection);
    }
    const headDim = width / numHeads;
    this.headDim = headDim;
    /** Part i of three. */
    const third = (whole: Tensor, i: number): Tensor =>
      projection === 'fusedByHead'
        ? whole.reshape([numHeads, 3, headDim, ...whole.shape.slice(1)]).slice(1, i, i + 1)
        : whole.slice(0, i * width, (i + 1) * width);
    const widths = { q: width, k: keyWidth, v: valueWidth };
    const parts = scope(() => {
      const weight =
        projection === 'separate' ? undefined : source.dense(join(path, 'in_proj_weight'), [3 * width, width]);
      const biases = bias ? source.dense(join(path, 'in_proj_bias'), [3 * width]) : undefined;
      return (['q', 'k', 'v'] as const).map((part, i) => ({
        weight: weight
          ? packWeight(third(weight, i).reshape([width, width]))
          : source.matrix(join(path, `${part}_proj_weight`), [width, widths[part]]),
        bias: biases && third(biases, i).reshape([width]),
      }));
    });
    const [q, k, v] = parts.map((part) => new Linear(part.weight, part.bias)) as [Linear, Linear, Linear];
    this.#projections = { q, k, v };
    this.#output = Linear.load(source, join(path, 'out_proj'), [width, width], bias);
  }

  /** x [B, T, …] → [B, H, T, D]; x [N, …] → [N, H, D]. */
  project(part: 'q' | 'k' | 'v', x: Tensor): Tensor {
    const { numHeads } = this.options;
    const heads = this.#projections[part].forward(x).reshape([...x.shape.slice(0, -1), numHeads, this.headDim]);
    return heads.shape.length === 4 ? heads.transpose(1, 2) : heads;
  }

  /** [B, H, T, D] → [B, T, C]; [N, H, D] → [N, C]. */
  merge(heads: Tensor): Tensor {
    const inside = heads.shape.length === 4 ? heads.transpose(1, 2) : heads;
    return this.#output.forward(inside.reshape([...inside.shape.slice(0, -2), this.options.width]));
  }

  /** Queries, and what becomes keys and values, as a layer's `forward` got them: by default one. */
  operands(
    queries: Tensor,
    { keys = queries, values = keys }: { keys?: Tensor | undefined; values?: Tensor | undefined },
  ): [q: Tensor, k: Tensor, v: Tensor] {
    const { width, keyWidth = width, valueWidth = width } = this.options;
    checkSequences(this.name, 'queries', queries, width);
    checkSequences(this.name, 'keys', keys, keyWidth);
    checkSequences(this.name, 'values', values, valueWidth);
    return [this.project('q', queries), this.project('k', keys), this.project('v', values)];
  }

  [Symbol.dispose](): void {
    for (const part of [...Object.values(this.#projections), this.#output]) part[Symbol.dispose]();
  }
}

/** Vectors of sequences, [B, T, width]. */
export function checkSequences(name: string, argument: string, x: unknown, width: number): void {
  const shape = shapeOf(name, argument, x);
  if (shape.length !== 3 || shape[2] !== width) throw rangeError(name, argument, `of shape [B, T, ${width}]`, shape);
}
