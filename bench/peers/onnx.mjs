// ONNX files, written without any library: the few messages of onnx.proto that a graph with weights needs.
import { closeSync, openSync, writeSync } from 'node:fs';

const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

// A message is a list of buffers, so that weights are never copied.
const key = (field, wire) => varint((field << 3) | wire);
const integer = (field, value) => [key(field, VARINT), varint(value)];
const float = (field, value) => [key(field, FIXED32), Buffer.from(Float32Array.of(value).buffer)];
const message = (field, parts) => {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [key(field, BYTES), varint(length), ...parts];
};
const text = (field, value) => message(field, [Buffer.from(value)]);

/** TensorProto.DataType, and bytes of an element. */
const TYPES = { float32: [1, 4], int8: [3, 1], int32: [6, 4], int64: [7, 8] };

const sizeOf = (shape) => shape.reduce((product, length) => product * length, 1);

/** Random values over and over: float32 in ± 0.03, int8 of all sizes. */
const NOISE = {
  float32: Buffer.from(Float32Array.from({ length: 1 << 20 }, () => (Math.random() - 0.5) * 0.06).buffer),
  int8: Buffer.from(Int8Array.from({ length: 1 << 20 }, () => Math.floor(Math.random() * 255) - 127).buffer),
};

function repeated(noise, bytes) {
  const parts = [];
  for (let left = bytes; left > 0; left -= noise.length) parts.push(noise.subarray(0, Math.min(left, noise.length)));
  return parts;
}

function attribute(name, value) {
  const content = () => {
    if (Array.isArray(value)) return [...value.flatMap((one) => integer(8, one)), ...integer(20, 7)];
    if (typeof value === 'object') return [...float(2, value.float), ...integer(20, 1)];
    return [...integer(3, value), ...integer(20, 2)];
  };
  return message(5, [...text(1, name), ...content()]);
}

/** A graph under construction. Values are their names. Float attributes are written { float: 0.5 }. */
export class Graph {
  #nodes = [];
  #weights = [];
  #inputs = [];
  #outputs = [];
  #named = 0;

  #name() {
    return `v${this.#named++}`;
  }

  #initializer(type, shape, data) {
    const name = this.#name();
    const dims = shape.flatMap((length) => integer(1, length));
    this.#weights.push(...message(5, [...dims, ...integer(2, TYPES[type][0]), ...text(8, name), ...message(9, data)]));
    return name;
  }

  /** A random tensor. */
  random(shape, type = 'float32') {
    return this.#initializer(type, shape, repeated(NOISE[type], sizeOf(shape) * TYPES[type][1]));
  }

  /** `values`: a typed array, or one number for all. */
  constant(values, shape, type = 'float32') {
    const Values = { float32: Float32Array, int8: Int8Array, int32: Int32Array, int64: BigInt64Array }[type];
    const all = typeof values === 'number' ? new Array(sizeOf(shape)).fill(values) : values;
    const data = Values.from(all, type === 'int64' ? BigInt : Number);
    return this.#initializer(type, shape, [Buffer.from(data.buffer)]);
  }

  #port(field, name, type, shape) {
    const dims = shape.flatMap((one) => message(1, typeof one === 'string' ? text(2, one) : integer(1, one)));
    const tensor = message(1, [...integer(1, TYPES[type][0]), ...message(2, dims)]);
    return message(field, [...text(1, name), ...message(2, tensor)]);
  }

  /** Named lengths in `shape` may vary. */
  input(name, type, shape) {
    this.#inputs.push(...this.#port(11, name, type, shape));
    return name;
  }

  output(name, type, shape) {
    this.#outputs.push(...this.#port(12, name, type, shape));
  }

  /** Its first output, or all `outputs`, which may be names. */
  op(type, inputs, attributes = {}, { domain = '', outputs = 1 } = {}) {
    const names = Array.isArray(outputs) ? outputs : Array.from({ length: outputs }, () => this.#name());
    this.#nodes.push(
      ...message(1, [
        ...inputs.flatMap((input) => text(1, input)),
        ...names.flatMap((output) => text(2, output)),
        ...text(3, this.#name()),
        ...text(4, type),
        ...Object.entries(attributes).flatMap(([name, value]) => attribute(name, value)),
        ...text(7, domain),
      ]),
    );
    return names.length === 1 ? names[0] : names;
  }

  /** An operator that onnxruntime adds to the standard. */
  own(type, inputs, attributes, options = {}) {
    return this.op(type, inputs, attributes, { ...options, domain: 'com.microsoft' });
  }

  save(file, opset = 17) {
    const IR = opset >= 23 ? 11 : 8;
    const graph = [...this.#nodes, ...text(2, 'random'), ...this.#weights, ...this.#inputs, ...this.#outputs];
    const opsets = [
      ['', opset],
      ['com.microsoft', 1],
    ];
    const parts = [
      ...integer(1, IR),
      ...message(7, graph),
      ...opsets.flatMap(([domain, version]) => message(8, [...text(1, domain), ...integer(2, version)])),
    ];
    const descriptor = openSync(file, 'w');
    for (const part of parts) writeSync(descriptor, part);
    closeSync(descriptor);
  }
}
