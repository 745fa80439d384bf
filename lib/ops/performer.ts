import { native } from '../native';
import { checkBoolean, checkInteger, checkNumber, checkOneOf, checkOptions } from '../check';
import type { Device } from '../tensor/device';
import { scope } from '../tensor/scope';
import { shapeOf, unwrap, wrap, type Tensor } from '../tensor/tensor';
import { linearAttention, withPadding, type KeyPadding } from './linear-attention';
import { orthogonalize, random } from './random';

const KERNELS = ['softmax', 'relu'] as const;
type Kernel = (typeof KERNELS)[number];
const ROLES = ['query', 'key'] as const;

/** What keeps features from 0, as the reference implementation has it. */
const FEATURE_EPS: Record<Kernel, number> = { softmax: 1e-4, relu: 1e-3 };
/** Added to the running sums of key features where attention is causal. */
const CAUSAL_EPS = 1e-6;

export interface OrthogonalFeaturesOptions {
  /** D */
  headDim: number;
  /** M. Default ⌊D ln D⌋, at least 1. */
  numFeatures?: number | undefined;
  /** Another seed gives other features. Default 0. */
  seed?: number | undefined;
  device?: Device | undefined;
}

/**
 * Rows of normal numbers [M, D] float32 of which each D are orthogonal, as long as they would be alone: the projection of
 * `favorFeatures` (Choromanski et al., 2020, section 2.4).
 */
export function orthogonalFeatures(options: OrthogonalFeaturesOptions): Tensor {
  const name = 'orthogonalFeatures';
  checkOptions(name, options, ['headDim', 'numFeatures', 'seed', 'device']);
  checkInteger(name, 'headDim', options?.headDim, 1, 2 ** 16);
  const { headDim, seed, device } = options;
  const { numFeatures = Math.max(1, Math.floor(headDim * Math.log(headDim))) } = options;
  checkInteger(name, 'numFeatures', numFeatures, 1, 2 ** 24);
  return scope(() => {
    const normals = random.normal([Math.ceil(numFeatures / headDim), headDim, headDim], { seed, device });
    return orthogonalize(normals, { keepLengths: true }).reshape([-1, headDim]).slice(0, 0, numFeatures);
  });
}

export interface FavorFeaturesOptions {
  /** Of whose scores the products of features are an estimate: e^(q·k / √D), or a kernel of their own. Default 'softmax'. */
  kernel?: Kernel | undefined;
  /** Keys of a head share what keeps their powers in range; each query has its own. */
  role: (typeof ROLES)[number];
  /** Default 1e-4, of 'relu' 1e-3. */
  eps?: number | undefined;
  /** Vectors that are not there get features of 0, and are not looked at. */
  padding?: KeyPadding | undefined;
}

/**
 * Positive random features (Choromanski et al., 2020, lemma 1 and section 2.3), with y = x / D^¼ and w the rows of the
 * projection: 'softmax' is M^-½ (e^(w·y - |y|²/2 - max w·y) + eps), 'relu' is max(w·y, 0) + eps.
 *
 * @param x [B, H, T, D] of a float dtype, any strides.
 * @param projection [M, D] float32: see `orthogonalFeatures`.
 * @returns [B, H, T, M] of x's dtype
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function favorFeatures(x: Tensor, projection: Tensor, options: FavorFeaturesOptions): Tensor {
  const name = 'favorFeatures';
  checkOptions(name, options, ['kernel', 'role', 'eps', 'padding']);
  const { kernel = 'softmax', padding } = options ?? {};
  checkOneOf(name, 'kernel', kernel, KERNELS);
  checkOneOf(name, 'role', options?.role, ROLES);
  const { role, eps = FEATURE_EPS[kernel] } = options;
  checkNumber(name, 'eps', eps);
  const operands = [unwrap(name, 'x', x), unwrap(name, 'projection', projection)] as const;
  return withPadding(name, padding, x, (keys) =>
    wrap(native.favorFeatures(...operands, keys, kernel === 'softmax', role === 'query', eps)),
  );
}

export interface PerformerAttentionOptions {
  /** [M, Dk] float32; default: `orthogonalFeatures` of `numFeatures` and `seed`. */
  projection?: Tensor | undefined;
  numFeatures?: number | undefined;
  seed?: number | undefined;
  /** Default 'softmax'. */
  kernel?: Kernel | undefined;
  /** Query i sees the keys up to Tk - Tq + i, else all. Default false. */
  causal?: boolean | undefined;
  padding?: KeyPadding | undefined;
}

/**
 * Performer: attention by random features in time that grows with T (Choromanski et al., 2020, sections 2.2 and 2.5). The
 * 'softmax' kernel is an estimate of `attention`, better with more features.
 *
 * @param q [B, H, Tq, Dk], any strides; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function performerAttention(q: Tensor, k: Tensor, v: Tensor, options: PerformerAttentionOptions = {}): Tensor {
  const name = 'performerAttention';
  checkOptions(name, options, ['projection', 'numFeatures', 'seed', 'kernel', 'causal', 'padding']);
  const { numFeatures, seed, kernel, causal = false, padding } = options;
  checkBoolean(name, 'causal', causal);
  unwrap(name, 'k', k);
  unwrap(name, 'v', v);
  const headDim = shapeOf(name, 'q', q).at(-1) ?? 0;
  return scope(() => {
    const { projection = orthogonalFeatures({ headDim, numFeatures, seed, device: q.device }) } = options;
    const queries = favorFeatures(q, projection, { kernel, role: 'query' });
    const keys = favorFeatures(k, projection, { kernel, role: 'key', padding });
    return linearAttention(queries, keys, v, { features: 'none', causal, padding, eps: causal ? CAUSAL_EPS : 0 });
  });
}
