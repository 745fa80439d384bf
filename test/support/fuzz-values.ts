import * as heddle from '#lib/index';
import type { Random } from './random';

const { tensor } = heddle;

const SIZES = [0, 1, 1, 2, 2, 3, 4, 8, 17, 64, 65];
const NUMBERS = [0, -0, 1, -1, 2, 3, 64, 0.5, 1e-60, 1e39, -1e300, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 40, 2 ** 53];
const JUNK: readonly unknown[] = [
  'float16',
  undefined,
  null,
  true,
  '',
  'causal',
  'tanh',
  'gelu',
  1n,
  Symbol('s'),
  () => 1,
  /x/,
  new Date(0),
  new Proxy([], {}),
];
const OPTIONS = [
  ...['mask', 'bias', 'scale', 'softcap', 'sinks', 'queryOffset', 'cuSeqlens', 'returnLse', 'returnWeights', 'axis'],
  ...['weight', 'residual', 'eps', 'activation', 'approximate', 'temperature', 'topK', 'topP', 'seed', 'step', 'p'],
  ...['dtype', 'device', 'outDtype', 'numLayers', 'batch', 'capacity', 'numKvHeads', 'headDim', 'keys', 'values'],
  ...['state', 'padding', 'causal', 'signal', 'maxNewTokens', 'width', 'numHeads', 'positions', 'shape', 'length'],
  'quantize',
];

/** Values that no function asked for, and arguments with some of them in their place. */
export class Junk {
  /** Tensors made so far; the oldest give way. */
  readonly #pool: heddle.Tensor[] = [];
  #caches: heddle.KVCache[] = [];

  constructor(readonly random: Random) {
    this.renew();
  }

  /** New caches in the place of those that have been filled, and disposed of. */
  renew(): void {
    for (const cache of this.#caches) cache.dispose();
    const options = { numLayers: 1, batch: 2, capacity: 70, numKvHeads: 1, headDim: 4 };
    this.#caches = [new heddle.KVCache(options), new heddle.KVCache({ ...options, dtype: 'float16' })];
  }

  cache(): heddle.KVCache {
    return this.random.pick(this.#caches);
  }

  keep(value: unknown): void {
    if (!(value instanceof heddle.Tensor)) return;
    this.#pool.push(value);
    if (this.#pool.length > 60) this.#pool.splice(this.random.integer(60), 1)[0]!.dispose();
  }

  shape(): number[] {
    return Array.from({ length: this.random.integer(5) }, () => this.random.pick(SIZES));
  }

  tensor(): heddle.Tensor {
    const { random } = this;
    if (this.#pool.length > 0 && random.next() < 0.6) return random.pick(this.#pool);
    const shape = this.shape();
    const count = shape.reduce((a, b) => a * b, 1);
    if (count > 20_000) return tensor([1]);
    if (random.next() < 0.7) {
      return tensor(random.normals(count), shape, {
        dtype: random.pick(['float32', 'float32', 'float16', 'bfloat16']),
      });
    }
    if (random.next() < 0.3)
      return tensor(
        Uint8Array.from({ length: count }, () => random.integer(2)),
        shape,
      );
    const whole = Array.from({ length: count }, () => random.integer(9) - 2);
    return tensor(whole, shape, { dtype: 'int32' });
  }

  value(depth = 0): unknown {
    const { random } = this;
    const inner = () => (depth > 1 ? 1 : this.value(depth + 1));
    const layer = () => this.cache().layer(0);
    const kinds: (() => unknown)[] = [
      () => this.tensor(),
      () => this.tensor(),
      () => this.tensor(),
      () => random.pick(NUMBERS),
      () => random.integer(5),
      () => random.pick(JUNK),
      () => this.shape(),
      () => new Float32Array(random.integer(9)),
      () => new Int32Array(random.integer(9)),
      () => new Float64Array(2),
      () => heddle.mask.causal(),
      () => heddle.bias.alibi(2),
      () => this.cache(),
      layer,
      () => ({ ...layer(), [random.pick(['pages', 'lengths', 'blockTable', 'valueDim'])]: this.value(2) }),
      () => ({ [random.pick(OPTIONS)]: inner() }),
      () => ({ [random.pick(OPTIONS)]: inner(), [random.pick(OPTIONS)]: inner() }),
      () => [inner()],
      () => Object.create(Object.create(null) as object) as unknown,
    ];
    return random.pick(kinds)();
  }

  /** Any number of them. */
  values(): unknown[] {
    return Array.from({ length: this.random.integer(5) }, () => this.value());
  }

  /** Arguments that fit, with one or two of them, or of their parts, changed; or with some that nobody asked for. */
  spoil(given: readonly unknown[]): unknown[] {
    const values = [...given];
    if (values.length === 0 || this.random.next() < 0.05) return [...values, this.value()];
    for (let times = 1 + this.random.integer(2); times > 0; --times) {
      const at = this.random.integer(values.length);
      values[at] = this.#spoilOne(values[at]);
    }
    return values;
  }

  /** Another value, or, as often, the same with one of its parts changed. */
  #spoilOne(value: unknown): unknown {
    const { random } = this;
    if (random.next() < 0.5 || typeof value !== 'object' || value === null) return this.value();
    if (Array.isArray(value)) {
      const at = random.integer(value.length + 1);
      return at === value.length ? value.slice(1) : value.with(at, this.#spoilOne(value[at]));
    }
    if (Object.getPrototypeOf(value) !== Object.prototype) return this.value();
    const name = random.next() < 0.2 ? random.pick(OPTIONS) : random.pick([...Object.keys(value), 'more']);
    return { ...value, [name]: this.#spoilOne((value as Record<string, unknown>)[name]) };
  }
}
