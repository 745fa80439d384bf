import { checkInteger, checkNumber, checkOneOf, checkOptions, rangeError } from '../check';
import { abs, exp, minimum, mul, sub } from '../ops/arithmetic';
import { attention } from '../ops/attention';
import { bias } from '../ops/bias';
import { cast } from '../ops/cast';
import { packWeight } from '../ops/linear';
import { matmul } from '../ops/matmul';
import { scope } from '../tensor/scope';
import { tensor, type Tensor } from '../tensor/tensor';
import {
  additiveScores,
  checkContext,
  contextOf,
  oneHead,
  withHead,
  type Context,
  type ContextInput,
} from './additive-attention';
import { Linear } from './layers';
import { checkSource, join, type ParameterSource } from './parameters';

const SCORES = ['dot', 'general', 'concat', 'local-p'] as const;

export interface LuongAttentionOptions {
  /**
   * The score of a pair (Luong et al., 2015, section 3.1): 'dot' q · k; 'general' q · W k; 'concat' v · tanh(W [q; k]).
   * 'local-p' (section 3.2): 'general' in a window around a position that the query predicts.
   */
  score: (typeof SCORES)[number];
  /** Cq, of the decoder's states. */
  queryWidth: number;
  /** Ck, of the encoder's states; of 'dot' that of the queries. Default queryWidth. */
  keyWidth?: number | undefined;
  /** A, of the layer within 'concat' and of the one that predicts positions. Default queryWidth. */
  width?: number | undefined;
  /** D of 'local-p': keys further than this from the position have no weight. At least 1. */
  windowSize?: number | undefined;
}

export interface LuongContext extends Context {
  /** Of 'local-p': the positions p, [B, Tq] float32. */
  positions?: Tensor;
}

const NAME = 'LuongAttention';

/**
 * Luong attention (Luong et al., 2015, section 3). Parameters, as far as the score has them: `W.weight` [Cq, Ck], of
 * 'concat' [A, Cq + Ck]; `v.weight` [1, A]; of 'local-p' `W_p.weight` [A, Cq], `v_p.weight` [1, A].
 *
 * 'local-p' (equations 9 and 10): p = S · sigmoid(v_p · tanh(W_p q)) for S keys; the softmax is over the keys at most D
 * from p, and their weights are multiplied by e^(-(s - p)² / (2 (D / 2)²)), so that they sum to less than 1.
 */
export class LuongAttention implements Disposable {
  readonly #parts: Partial<Record<'w' | 'wKeys' | 'v' | 'wPosition' | 'vPosition', Linear>> = {};

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: LuongAttentionOptions,
  ) {
    checkSource(NAME, source, path);
    checkOptions(NAME, options, ['score', 'queryWidth', 'keyWidth', 'width', 'windowSize']);
    const { score, queryWidth, keyWidth = queryWidth, width = queryWidth, windowSize } = options ?? {};
    checkOneOf(NAME, 'score', score, SCORES);
    for (const [key, value] of Object.entries({ queryWidth, keyWidth, width }))
      checkInteger(NAME, key, value, 1, 2 ** 24);
    if (score === 'dot' && keyWidth !== queryWidth)
      throw rangeError(NAME, 'keyWidth', `queryWidth ${queryWidth}`, keyWidth);
    if (score === 'local-p') {
      checkNumber(NAME, 'windowSize', windowSize);
      if (windowSize < 1) throw rangeError(NAME, 'windowSize', 'at least 1', windowSize);
    } else if (windowSize !== undefined) {
      throw rangeError(NAME, 'windowSize', `absent where score is '${score}'`, windowSize);
    }
    const load = (part: string, shape: readonly [number, number]) =>
      Linear.load(source, join(path, part), shape, false);
    if (score === 'concat') {
      // W [q; k] is the sum of two products.
      const [forQuery, forKeys] = scope(() => {
        const whole = source.dense(join(path, 'W.weight'), [width, queryWidth + keyWidth]);
        return [whole.slice(1, 0, queryWidth), whole.slice(1, queryWidth, queryWidth + keyWidth)].map((part) =>
          packWeight(part),
        );
      }) as [Tensor, Tensor];
      this.#parts = { w: new Linear(forQuery), wKeys: new Linear(forKeys), v: load('v', [1, width]) };
    } else if (score !== 'dot') {
      this.#parts.w = load('W', [queryWidth, keyWidth]);
    }
    if (score === 'local-p') {
      this.#parts.wPosition = load('W_p', [width, queryWidth]);
      this.#parts.vPosition = load('v_p', [1, width]);
    }
  }

  /**
   * @param queries [B, Tq, Cq], of the parameters' dtype: one state, where a decoder goes word by word.
   * @param keys [B, Tk, Ck]
   * @returns context and weights, of 'local-p' positions, too. A query that may attend to nothing gives 0.
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(queries: Tensor, keys: Tensor, input: ContextInput = {}): LuongContext {
    const { queryWidth, keyWidth = queryWidth, score } = this.options;
    checkContext(NAME, [queries, queryWidth], [keys, keyWidth], input);
    const { values = keys, mask } = input;
    const { w, wKeys, v } = this.#parts;
    return scope(() => {
      if (score === 'local-p') return this.#local(queries, keys, input);
      if (wKeys && v && w) return contextOf(additiveScores(w.forward(queries), wKeys.forward(keys), v), values, mask);
      const met = w?.forward(keys) ?? keys;
      const [q, k, heads] = [queries, met, values].map(withHead) as [Tensor, Tensor, Tensor];
      return oneHead(attention(q, k, heads, { scale: 1, mask, returnWeights: true }));
    });
  }

  #local(queries: Tensor, keys: Tensor, { values = keys, mask }: ContextInput): LuongContext {
    const { w, wPosition, vPosition } = this.#parts as Record<'w' | 'wPosition' | 'vPosition', Linear>;
    const windowSize = this.options.windowSize as number;
    const [batch = 0, tokens = 0] = queries.shape;
    const count = keys.shape[1] ?? 0;
    const inner = wPosition.forward(queries, { activation: 'tanh' });
    const share = vPosition.forward(inner, { activation: 'sigmoid', outDtype: 'float32' });
    const positions = mul(share, count); // [B, Tq, 1]
    const places = tensor(
      Float32Array.from({ length: count }, (_, s) => s),
      [count],
      { device: keys.device },
    );
    const distances = sub(places, positions); // [B, Tq, Tk]
    // 0 in the window, and outside a negative number times 10^60: -∞.
    const outside = mul(mul(minimum(sub(windowSize, abs(distances)), 0), 1e30), 1e30);
    const [q, k] = [queries, w.forward(keys)].map(withHead) as [Tensor, Tensor];
    const near = bias.dense(withHead(outside));
    const { weights: window } = oneHead(
      attention(q, k, withHead(values), { scale: 1, mask, bias: near, returnWeights: true }),
    );
    const weights = mul(window, exp(mul(mul(distances, distances), -2 / windowSize ** 2)));
    const output = matmul(cast(weights, values.dtype), values);
    return { output, weights, positions: positions.reshape([batch, tokens]) };
  }

  [Symbol.dispose](): void {
    for (const part of Object.values(this.#parts)) part[Symbol.dispose]();
  }
}
