import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { SafetensorsFile } from '#lib/weights/safetensors';

/** Where the reference's results lie: see test/fixtures/README.md. */
export const fixtures = process.env.HEDDLE_FIXTURES ?? path.resolve('test/fixtures');

/** Numbers of some shape, row-major. */
export interface Values {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

/** As cases.json gives an input or output: nested lists of numbers, or a tensor of expected.safetensors. */
export type Stored = Nested | { readonly tensor: string };
type Nested = number | boolean | readonly Nested[];

const READERS: Record<string, [bytes: number, read: (view: DataView, at: number) => number]> = {
  F64: [8, (view, at) => view.getFloat64(at, true)],
  F32: [4, (view, at) => view.getFloat32(at, true)],
  I64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  I32: [4, (view, at) => view.getInt32(at, true)],
  U8: [1, (view, at) => view.getUint8(at)],
  BOOL: [1, (view, at) => view.getUint8(at)],
};

/** A folder of fixtures: its cases.json, and values by key or as the cases name them. */
export class Fixture<Cases> {
  readonly cases: Cases;
  readonly #file: Buffer;
  readonly #dataStart: number;
  readonly #entries: SafetensorsFile['entries'];

  /** `folder` below the fixtures: 'ops/norms', 'models/gpt2'. */
  constructor(readonly folder: string) {
    const place = path.join(fixtures, folder);
    this.cases = JSON.parse(readFileSync(path.join(place, 'cases.json'), 'utf8')) as Cases;
    const expected = path.join(place, 'expected.safetensors');
    using file = new SafetensorsFile(expected);
    this.#entries = file.entries;
    this.#dataStart = file.dataStart;
    this.#file = readFileSync(expected);
  }

  get keys(): string[] {
    return [...this.#entries.keys()];
  }

  tensor(key: string): Values {
    const entry = this.#entries.get(key);
    if (!entry) throw new Error(`${this.folder} has no tensor ${key}`);
    const [bytes, read] = READERS[entry.dtype] ?? [];
    if (!bytes || !read) throw new Error(`${this.folder}: ${key} has dtype ${entry.dtype}`);
    const view = new DataView(
      this.#file.buffer,
      this.#file.byteOffset + this.#dataStart,
      this.#file.byteLength - this.#dataStart,
    );
    const data = Float64Array.from({ length: (entry.end - entry.begin) / bytes }, (_, i) =>
      read(view, entry.begin + i * bytes),
    );
    return { data, shape: entry.shape };
  }

  value(stored: Stored): Values {
    return typeof stored === 'object' && 'tensor' in stored ? this.tensor(stored.tensor) : flatten(stored);
  }
}

function flatten(nested: Nested): Values {
  if (typeof nested !== 'object') return { data: Float64Array.of(Number(nested)), shape: [] };
  const parts = nested.map(flatten);
  return {
    data: Float64Array.from(parts.flatMap(({ data }) => [...data])),
    shape: [parts.length, ...(parts[0]?.shape ?? [])],
  };
}

/** Names of the folders in 'ops' or 'models'; empty where the fixtures are not there. */
export function fixtureNames(kind: 'ops' | 'models'): string[] {
  const folder = path.join(fixtures, kind);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(path.join(folder, name, 'cases.json')))
    .sort();
}
