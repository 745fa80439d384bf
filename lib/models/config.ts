import { show } from '../check';

/** A folder's config.json, read with checks: an error names the file's key and value. */
export class Config {
  constructor(
    readonly values: Readonly<Record<string, unknown>>,
    readonly path: string,
  ) {}

  #fail(key: string, wanted: string): never {
    throw new RangeError(`[loadModel] ${this.path}: ${key} must be ${wanted} but is ${show(this.values[key])}`);
  }

  /** The first of these keys that is there, else the last: some configs have two names for one thing. */
  present(...keys: readonly [string, ...string[]]): string {
    return keys.find((key) => (this.values[key] ?? undefined) !== undefined) ?? keys.at(-1)!;
  }

  /** A whole number of at least 1; `fallback` where the key is absent or null. */
  integer(key: string, fallback?: number): number {
    const value = this.values[key] ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 1) this.#fail(key, 'a whole number of at least 1');
    return value as number;
  }

  /** A token of a vocabulary. */
  tokenId(key: string, vocabSize: number): number {
    const value = this.values[key];
    const known = Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < vocabSize;
    if (!known) this.#fail(key, `a token from 0 to ${vocabSize - 1}`);
    return value as number;
  }

  number(key: string, fallback?: number): number {
    const value = this.values[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) this.#fail(key, 'a finite number');
    return value;
  }

  /** Undefined where the key is absent or null. */
  optionalNumber(key: string): number | undefined {
    return (this.values[key] ?? undefined) === undefined ? undefined : this.number(key);
  }

  /** A list of `length` finite numbers. */
  numbers(key: string, length: number): readonly number[] {
    const value = this.values[key];
    if (!Array.isArray(value) || value.length !== length || !value.every(Number.isFinite)) {
      this.#fail(key, `${length} finite numbers`);
    }
    return value as number[];
  }

  /** A nested object; undefined where the key is absent or null. */
  object(key: string): Config | undefined {
    const value = this.values[key] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || Array.isArray(value)) this.#fail(key, 'an object');
    return new Config(value as Record<string, unknown>, `${this.path}: ${key}`);
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.values[key] ?? fallback;
    if (typeof value !== 'boolean') this.#fail(key, 'true or false');
    return value;
  }

  /** One of `choices`. */
  oneOf<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    return this.choice(key, Object.fromEntries(choices.map((name) => [name, name])), fallback);
  }

  /** What stands for it among `choices`, of which it is a key. */
  choice<T>(key: string, choices: Readonly<Record<string, T>>, fallback: string): T {
    const value = this.values[key] ?? fallback;
    if (typeof value !== 'string' || !Object.hasOwn(choices, value)) {
      this.#fail(key, `one of ${Object.keys(choices).join(', ')}`);
    }
    return choices[value] as T;
  }
}
