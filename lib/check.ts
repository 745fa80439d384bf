/** Checks of arguments that come from users. Each error names the function and the argument and gives the value. */

/** A short form of a value for messages. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) {
    const flat = value.length <= 8 && !value.some((item) => typeof item === 'object');
    return flat ? `[${value.map(show).join(', ')}]` : `an array of ${value.length}`;
  }
  const name: unknown = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor
    ?.name;
  return typeof name !== 'string' || name === 'Object' ? 'an object' : `a ${name}`;
}

export function typeError(name: string, argument: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`[${name}] ${argument} must be ${wanted} but got ${show(value)}`);
}

export function rangeError(name: string, argument: string, wanted: string, value: unknown): RangeError {
  return new RangeError(`[${name}] ${argument} must be ${wanted} but got ${show(value)}`);
}

/** Whether this is an object as `{ … }` makes it, of any realm: a Tensor or a Map is none. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A plain options object with no keys but the known ones; `undefined` counts as empty. */
export function checkOptions(name: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || !isPlain(options)) {
    throw typeError(name, 'options', 'an object', options);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new TypeError(`[${name}] unknown option ${show(key)}; known are ${known.join(', ')}`);
    }
  }
}

export function checkNumber(name: string, argument: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw typeError(name, argument, 'a number', value);
  if (!Number.isFinite(value)) throw rangeError(name, argument, 'a finite number', value);
}

/** A whole number in [low, high]. */
export function checkInteger(
  name: string,
  argument: string,
  value: unknown,
  low: number,
  high = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (typeof value !== 'number') throw typeError(name, argument, 'a whole number', value);
  if (!Number.isSafeInteger(value) || value < low || value > high) {
    const range = high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `from ${low} to ${high}`;
    throw rangeError(name, argument, `a whole number ${range}`, value);
  }
}

/** An axis by number, negative ones from the end; whether a tensor has it is seen natively. */
export function checkAxis(name: string, value: unknown): asserts value is number {
  checkInteger(name, 'axis', value, Number.MIN_SAFE_INTEGER);
}

export function checkBoolean(name: string, argument: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw typeError(name, argument, 'true or false', value);
}

export function checkOneOf<T extends string>(
  name: string,
  argument: string,
  value: unknown,
  choices: readonly T[],
): asserts value is T {
  if (typeof value !== 'string') throw typeError(name, argument, `one of ${choices.join(', ')}`, value);
  if (!(choices as readonly string[]).includes(value)) {
    throw rangeError(name, argument, `one of ${choices.join(', ')}`, value);
  }
}
