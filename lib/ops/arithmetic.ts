import { native } from '../native';
import { typeError } from '../check';
import { tensor, Tensor, unwrap, wrap } from '../tensor/tensor';

/** A tensor, or a number that stands for a tensor of the other operand's dtype with that number everywhere. */
export type Operand = Tensor | number;

type Binary = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum';

function like(name: string, value: number, other: Tensor): Tensor {
  unwrap(name, 'b', other);
  if (other.disposed) throw new TypeError(`[${name}] a tensor is disposed`);
  return tensor([value], [1], { dtype: other.dtype, device: other.device });
}

function binary(name: Binary, a: Operand, b: Operand): Tensor {
  if (typeof a === 'number' && typeof b === 'number') throw typeError(name, 'a', 'a Tensor where b is a number', a);
  if (typeof a === 'number') {
    using number = like(name, a, b as Tensor);
    return binary(name, number, b);
  }
  if (typeof b === 'number') {
    using number = like(name, b, a);
    return binary(name, a, number);
  }
  return wrap(native[name](unwrap(name, 'a', a), unwrap(name, 'b', b)));
}

/**
 * a + b, of one float dtype, with NumPy's broadcasting: axes are aligned at the last, and a size of 1 is repeated. One
 * of the two may be a number.
 *
 * @throws TypeError for other dtypes, RangeError for shapes that do not broadcast.
 */
export function add(a: Operand, b: Operand): Tensor {
  return binary('add', a, b);
}

/** a - b: see `add`. */
export function sub(a: Operand, b: Operand): Tensor {
  return binary('sub', a, b);
}

/** a · b, element by element: see `add`. */
export function mul(a: Operand, b: Operand): Tensor {
  return binary('mul', a, b);
}

/** a / b: see `add`. */
export function div(a: Operand, b: Operand): Tensor {
  return binary('div', a, b);
}

/** The larger of the two, NaN if one of them is: see `add`. */
export function maximum(a: Operand, b: Operand): Tensor {
  return binary('maximum', a, b);
}

/** The smaller of the two, NaN if one of them is: see `add`. */
export function minimum(a: Operand, b: Operand): Tensor {
  return binary('minimum', a, b);
}

/** e^x, of any float dtype and shape. */
export function exp(x: Tensor): Tensor {
  return wrap(native.exp(unwrap('exp', 'x', x)));
}

/** The natural logarithm, of any float dtype and shape: -∞ of 0, NaN below. */
export function log(x: Tensor): Tensor {
  return wrap(native.log(unwrap('log', 'x', x)));
}

/** The square root, of any float dtype and shape: NaN below 0. */
export function sqrt(x: Tensor): Tensor {
  return wrap(native.sqrt(unwrap('sqrt', 'x', x)));
}

/** -x, of any float dtype and shape. */
export function neg(x: Tensor): Tensor {
  return wrap(native.neg(unwrap('neg', 'x', x)));
}

/** |x|, of any float dtype and shape. */
export function abs(x: Tensor): Tensor {
  return wrap(native.abs(unwrap('abs', 'x', x)));
}
