import { native } from '../native';
import { checkBoolean, checkInteger, checkNumber, checkOneOf, checkOptions, typeError } from '../check';
import { shapeOf, Tensor, tensor, unwrap, unwrapOptional, wrap } from '../tensor/tensor';

/** Which keys are there: the length of each sequence, [B] (int32 as a tensor), or a bool tensor [B, Tk]; true: a key. */
export type KeyPadding = readonly number[] | Tensor;

interface StateOptions {
  /** Keys that are not there leave the state as it is, and what they hold is not looked at. Default: all are. */
  padding?: KeyPadding | undefined;
  /** What earlier keys left: a state that was returned, float32. Default: nothing. */
  state?: Tensor | undefined;
  /** Also give the state after the last key. Default false. */
  returnState?: boolean | undefined;
}

/** By the native number. */
const FEATURE_MAPS = ['none', 'elu+1'] as const;

export interface LinearAttentionOptions extends StateOptions {
  /** φ: 'elu+1' is x + 1 above 0 and e^x below; 'none': q and k are features already. Default 'elu+1'. */
  features?: (typeof FEATURE_MAPS)[number] | undefined;
  /** Query i sees the keys up to Tk - Tq + i, else all. Default false. */
  causal?: boolean | undefined;
  /** Added to each coordinate of the sum of the key features. Default 0. */
  eps?: number | undefined;
}

export interface RecurrentAttentionOptions extends StateOptions {
  /** Logarithms of what the state is multiplied by before a key is written: [B, Hkv, T], or a coordinate [B, Hkv, T, Dk]. */
  decay?: Tensor | undefined;
  /** How much of what the state has for a key is replaced by its value: [B, Hkv, T] or [B, 1, T]. */
  beta?: Tensor | undefined;
  /** Multiplies the key that is looked up, not the one that is written: [B, Hkv, T, Dk]. Only with `beta`. */
  erase?: Tensor | undefined;
  /** Default 1 / sqrt(Dk). */
  scale?: number | undefined;
}

export interface LinearAttentionResult {
  /** [B, H, Tq, Dv] */
  output: Tensor;
  /** float32 [B, Hkv, Dk, Dv]; of `linearAttention` [B, Hkv, Dk, Dv + 1], the sum of the key features its last column. */
  state: Tensor;
}

type Wanted<Options> = Options & { returnState: true };
type Unwanted<Options> = Options & { returnState?: false | undefined };

/**
 * Attention with kernel features instead of a softmax (Katharopoulos et al., 2020, section 3):
 * out_i = φ(q_i)ᵀ Σ_j φ(k_j) v_jᵀ / φ(q_i)ᵀ (eps + Σ_j φ(k_j)). Time grows with T, not its square; a causal one goes on
 * from a state in constant memory. All of one float dtype, sums in float32.
 *
 * @param q [B, H, Tq, Dk], any strides; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]; with `returnState` both that and the state. A row whose divisor is 0, as that of a query that
 *   sees no key, is 0. Rows have the same bytes alone and in a batch, whole and in chunks.
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function linearAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: Wanted<LinearAttentionOptions>,
): LinearAttentionResult;
export function linearAttention(q: Tensor, k: Tensor, v: Tensor, options?: Unwanted<LinearAttentionOptions>): Tensor;
export function linearAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: LinearAttentionOptions = {},
): Tensor | LinearAttentionResult {
  const name = 'linearAttention';
  checkOptions(name, options, ['features', 'causal', 'padding', 'eps', 'state', 'returnState']);
  const { features = 'elu+1', causal = false, eps = 0, returnState = false } = options;
  checkOneOf(name, 'features', features, FEATURE_MAPS);
  checkBoolean(name, 'causal', causal);
  checkNumber(name, 'eps', eps);
  checkBoolean(name, 'returnState', returnState);
  const operands = [unwrap(name, 'q', q), unwrap(name, 'k', k), unwrap(name, 'v', v)] as const;
  const state = unwrapOptional(name, 'state', options.state);
  return withPadding(name, options.padding, k, (padding) =>
    result(
      native.linearAttention(...operands, padding, state, FEATURE_MAPS.indexOf(features), causal, eps, returnState),
    ),
  );
}

/**
 * Causal attention through a recurrent state, token by token:
 *
 *     S ← diag(e^decay) S;  u = v, or beta (v - Sᵀ (erase ⊙ k));  S ← S + k uᵀ;  out = scale · Sᵀ q
 *
 * What is given says which: nothing is linear attention without features and divisor; `decay` a head is RetNet (Sun et
 * al., 2023, section 2) and Mamba-2, a coordinate is gated linear attention (Yang et al., 2023, section 4); `beta` is the
 * delta rule (Schlag et al., 2021, section 4.2), whose keys should have length 1; both are gated DeltaNet (Yang et al.,
 * 2024, section 3). All of one float dtype, the state float32.
 *
 * @param q [B, H, T, Dk], any strides; H is a multiple of Hkv.
 * @param k [B, Hkv, T, Dk]
 * @param v [B, Hkv, T, Dv]
 * @returns [B, H, T, Dv]; with `returnState` both that and the state [B, Hkv, Dk, Dv]. Rows have the same bytes alone and
 *   in a batch, whole and in chunks.
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function recurrentAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: Wanted<RecurrentAttentionOptions>,
): LinearAttentionResult;
export function recurrentAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options?: Unwanted<RecurrentAttentionOptions>,
): Tensor;
export function recurrentAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: RecurrentAttentionOptions = {},
): Tensor | LinearAttentionResult {
  const name = 'recurrentAttention';
  checkOptions(name, options, ['decay', 'beta', 'erase', 'padding', 'scale', 'state', 'returnState']);
  const { scale = 1 / Math.sqrt(shapeOf(name, 'q', q).at(-1) || 1), returnState = false } = options;
  checkNumber(name, 'scale', scale);
  checkBoolean(name, 'returnState', returnState);
  const operands = [unwrap(name, 'q', q), unwrap(name, 'k', k), unwrap(name, 'v', v)] as const;
  const gates = [
    unwrapOptional(name, 'decay', options.decay),
    unwrapOptional(name, 'beta', options.beta),
    unwrapOptional(name, 'erase', options.erase),
  ] as const;
  const state = unwrapOptional(name, 'state', options.state);
  return withPadding(name, options.padding, k, (padding) =>
    result(native.recurrentAttention(...operands, ...gates, padding, state, scale, returnState)),
  );
}

function result([output, state]: [output: number, state: number]): Tensor | LinearAttentionResult {
  return state === 0 ? wrap(output) : { output: wrap(output), state: wrap(state) };
}

/** For the library: calls back with the native form of a padding on the device of `beside`, 0 where absent. */
export function withPadding<T>(name: string, padding: unknown, beside: Tensor, body: (handle: number) => T): T {
  if (padding === undefined) return body(0);
  if (padding instanceof Tensor) return body(unwrap(name, 'padding', padding));
  if (!Array.isArray(padding)) throw typeError(name, 'padding', 'lengths or a tensor', padding);
  for (const [b, length] of (padding as unknown[]).entries()) {
    checkInteger(name, `padding[${b}]`, length, 0, 2 ** 31 - 1);
  }
  shapeOf(name, 'k', beside);
  using lengths = tensor(Int32Array.from(padding as number[]), [padding.length], { device: beside.device });
  return body(unwrap(name, 'padding', lengths));
}
