import { tensor, type DType, type QuantizedDType, type Tensor } from '#lib/index';

type ValueDType = Exclude<DType, QuantizedDType>;

/** A value of a case: `data` is its little-endian elements in base64. */
export interface Value {
  name: string;
  dtype: string;
  shape: number[];
  data: string;
}

/** A case of the ONNX backend's node tests, inputs and outputs in the operator's own order. */
export interface OnnxCase {
  name: string;
  op: string;
  domain: string;
  opset: number;
  attributes: Record<string, unknown>;
  inputs: (Value | null)[];
  outputs: (Value | null)[];
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function bfloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}

/** ONNX dtypes: how they are read, and what holds them here. There are no wider ones: numbers must fit. */
const DTYPES: Record<string, [held: ValueDType, bytes: number, read: (view: DataView, at: number) => number]> = {
  float32: ['float32', 4, (view, at) => view.getFloat32(at, true)],
  float64: ['float32', 8, (view, at) => view.getFloat64(at, true)],
  float16: ['float16', 2, (view, at) => half(view.getUint16(at, true))],
  bfloat16: ['bfloat16', 2, (view, at) => bfloat(view.getUint16(at, true))],
  int64: ['int32', 8, (view, at) => Number(view.getBigInt64(at, true))],
  uint64: ['int32', 8, (view, at) => Number(view.getBigUint64(at, true))],
  int32: ['int32', 4, (view, at) => view.getInt32(at, true)],
  uint32: ['int32', 4, (view, at) => view.getUint32(at, true)],
  int16: ['int32', 2, (view, at) => view.getInt16(at, true)],
  uint16: ['int32', 2, (view, at) => view.getUint16(at, true)],
  int8: ['int32', 1, (view, at) => view.getInt8(at)],
  uint8: ['int32', 1, (view, at) => view.getUint8(at)],
  bool: ['bool', 1, (view, at) => view.getUint8(at)],
};

function formatOf({ name, dtype }: Value) {
  const format = DTYPES[dtype];
  if (!format) throw new Error(`${name} has dtype ${dtype}`);
  return format;
}

export const dtypeOf = (value: Value): ValueDType => formatOf(value)[0];

export function numbersOf(value: Value): number[] {
  const [, bytes, read] = formatOf(value);
  const data = Buffer.from(value.data, 'base64');
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: data.byteLength / bytes }, (_, i) => read(view, i * bytes));
}

/** What an operator is given: its attributes with their defaults, its inputs by place. */
export class Call {
  constructor(readonly given: OnnxCase) {}

  get opset(): number {
    return this.given.opset;
  }
  attribute<T>(name: string, fallback: T): T {
    return (this.given.attributes[name] as T | undefined) ?? fallback;
  }
  optional(index: number): Tensor | undefined {
    const value = this.given.inputs[index];
    return value ? tensor(numbersOf(value), value.shape, { dtype: dtypeOf(value) }) : undefined;
  }
  input(index: number): Tensor {
    const found = this.optional(index);
    if (!found) throw new Error(`${this.given.name} has no input ${index}`);
    return found;
  }
  /** The only number of an input. */
  number(index: number): number {
    return numbersOf(this.given.inputs[index]!)[0]!;
  }
}

/** ONNX's own tolerance, and that of halves. */
const TOLERANCES: Record<ValueDType, { abs: number; rel: number }> = {
  float32: { abs: 1e-7, rel: 1e-3 },
  float16: { abs: 1e-7, rel: 1e-2 },
  bfloat16: { abs: 1e-7, rel: 1e-2 },
  int32: { abs: 0, rel: 0 },
  bool: { abs: 0, rel: 0 },
};
export const toleranceOf = (value: Value) => TOLERANCES[dtypeOf(value)];
