import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { Random } from './random';

/** Tensors by the names of a checkpoint. */
export type Weights = Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>;

/** Random float32 tensors: matrices that keep the size of what they read, norms near 1, the rest small. */
export function randomWeights(shapes: Readonly<Record<string, readonly number[]>>, seed: number): Weights {
  const random = new Random(seed);
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const isNorm = shape.length === 1 && name.endsWith('weight');
      const data = random.normals(count, shape.length === 2 ? 1.5 / Math.sqrt(shape[1]!) : 0.2);
      return [name, { shape, data: isNorm ? data.map((x) => 1 + x) : data }];
    }),
  );
}

/** Writes a Hugging Face folder; the caller removes it. */
export function writeModel(config: object, weights: Weights): string {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => {
      const begin = end;
      end += data.byteLength;
      return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header).padEnd(8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-model-'));
  const data = Object.values(weights).map((one) =>
    Buffer.from(one.data.buffer, one.data.byteOffset, one.data.byteLength),
  );
  writeFileSync(path.join(folder, 'model.safetensors'), Buffer.concat([length, json, ...data]));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}
