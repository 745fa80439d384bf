import { native } from '../native';
import { checkNumber, checkOneOf, checkOptions } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/** Native activations, by the names that Hugging Face configs use: several names may stand for one. */
const KINDS = {
  linear: 0,
  gelu: 1,
  gelu_python: 1,
  gelu_new: 2,
  gelu_accurate: 2,
  gelu_fast: 2,
  gelu_pytorch_tanh: 2,
  silu: 3,
  swish: 3,
  relu: 4,
  quick_gelu: 5,
  gelu_10: 6,
  relu2: 7,
  relu6: 8,
  tanh: 9,
  sigmoid: 10,
  mish: 11,
  laplace: 12,
  leaky_relu: 13,
  elu: 14,
  selu: 15,
  softplus: 16,
} as const;

export type Activation = keyof typeof KINDS;
/** For models: what a config may name. */
export const ACTIVATIONS = Object.keys(KINDS) as readonly Activation[];

/** For the library: the native number of an activation that a user names. */
export function activationKind(name: string, argument: string, activation: Activation): number {
  checkOneOf(name, argument, activation, ACTIVATIONS);
  return KINDS[activation];
}

/**
 * An activation by its name in Hugging Face configs, of any float dtype and shape:
 *
 * - `linear` x; `relu` max(x, 0); `relu2` its square (So et al., 2021); `relu6` at most 6; `leaky_relu` x, below 0
 *   x / 100
 * - `gelu`, `gelu_python` with the error function (Hendrycks and Gimpel, 2016, section 2); `gelu_new`, `gelu_fast`,
 *   `gelu_accurate`, `gelu_pytorch_tanh` with tanh; `quick_gelu` x / (1 + e^-1.702x); `gelu_10` gelu cut to [-10, 10]
 * - `silu`, `swish` x / (1 + e^-x) (Elfwing et al., 2017); `mish` x tanh(ln(1 + e^x)) (Misra, 2019)
 * - `tanh`; `sigmoid` 1 / (1 + e^-x); `softplus` ln(1 + e^x); `laplace` (1 + erf((x - √½) √(2π))) / 2 (Ma et al.,
 *   2022, section 3.2)
 * - `elu` x, below 0 e^x - 1 (Clevert et al., 2015); `selu` λ x, below 0 λ α (e^x - 1) (Klambauer et al., 2017)
 *
 * @throws TypeError for another dtype, RangeError for another name.
 */
export function activation(x: Tensor, name: Activation): Tensor {
  return wrap(native.activation(unwrap('activation', 'x', x), activationKind('activation', 'name', name)));
}

export interface GeluOptions {
  /** 'none': with the error function; 'tanh': the approximation of GPT-2. Default 'none'. */
  approximate?: 'none' | 'tanh' | undefined;
}

/**
 * Gaussian error linear unit, of any float dtype and shape (Hendrycks and Gimpel, 2016, section 2).
 *
 * @throws TypeError for another dtype or an unknown option.
 */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  checkOptions('gelu', options, ['approximate']);
  const { approximate = 'none' } = options;
  checkOneOf('gelu', 'approximate', approximate, ['none', 'tanh']);
  const handle = unwrap('gelu', 'x', x);
  return wrap(approximate === 'tanh' ? native.geluTanh(handle) : native.gelu(handle));
}

export interface SiluOptions {
  /** Default 1. */
  alpha?: number | undefined;
}

/**
 * x / (1 + e^-αx), of any float dtype and shape (Elfwing et al., 2017; also called swish, with α: Ramachandran et al.,
 * 2017).
 *
 * @throws TypeError, RangeError for another dtype, an alpha that is not finite, or an unknown option.
 */
export function silu(x: Tensor, options: SiluOptions = {}): Tensor {
  checkOptions('silu', options, ['alpha']);
  const { alpha = 1 } = options;
  checkNumber('silu', 'alpha', alpha);
  return wrap(native.silu(unwrap('silu', 'x', x), alpha));
}

/** max(x, 0), of any float dtype and shape. */
export function relu(x: Tensor): Tensor {
  return wrap(native.relu(unwrap('relu', 'x', x)));
}

/** The hyperbolic tangent, of any float dtype and shape. */
export function tanh(x: Tensor): Tensor {
  return wrap(native.tanh(unwrap('tanh', 'x', x)));
}

/** 1 / (1 + e^-x), of any float dtype and shape. */
export function sigmoid(x: Tensor): Tensor {
  return wrap(native.sigmoid(unwrap('sigmoid', 'x', x)));
}

export interface GatedOptions {
  /** Of the gate. Default 'silu'. */
  activation?: Activation | undefined;
}

/**
 * activation(gate) · up, of one float dtype: a gated linear unit behind its two projections (Shazeer, 2020, section 2).
 *
 * @param gate [..., C]
 * @param up of the same shape
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function gated(gate: Tensor, up: Tensor, options: GatedOptions = {}): Tensor {
  checkOptions('gated', options, ['activation']);
  const { activation: name = 'silu' } = options;
  const kind = activationKind('gated', 'activation', name);
  return wrap(native.gated(unwrap('gated', 'gate', gate), unwrap('gated', 'up', up), kind));
}
