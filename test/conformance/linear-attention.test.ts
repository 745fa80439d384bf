import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { tensor, type FloatDType, type Tensor } from '#lib/index';
import { expectClose } from '../support/compare';
import { linearAttentionCase } from './linear-attention';

interface Stored {
  dtype: FloatDType;
  shape: number[];
  data: string;
}
interface Case {
  name: string;
  op: string;
  attributes: Record<string, unknown>;
  inputs: (Stored | null)[];
  outputs: Stored[];
}

function valuesOf({ dtype, data }: Stored): Float32Array {
  const bytes = Buffer.from(data, 'base64');
  if (dtype === 'float32') return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = bytes.readUInt16LE(2 * i);
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    return (bits >> 15 ? -1 : 1) * (exponent === 0 ? fraction : (1024 + fraction) * 2 ** (exponent - 1)) * 2 ** -24;
  });
}
const put = (stored: Stored): Tensor => tensor(valuesOf(stored), stored.shape, { dtype: stored.dtype });

const folder = process.env.CONFORMANCE_DIR ?? '';
const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : [];
const cases = files
  .map((file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Case)
  .filter(({ op }) => op === 'LinearAttention');

if (cases.length === 0) test.skip('no cases of LinearAttention in CONFORMANCE_DIR', () => undefined);
for (const { name, attributes, inputs, outputs } of cases) {
  test(name, async () => {
    const results = linearAttentionCase({ attributes, inputs: inputs.map((one) => (one ? put(one) : undefined)) });
    for (const [i, expected] of outputs.entries()) {
      expect([results[i]!.dtype, results[i]!.shape]).toEqual([expected.dtype, expected.shape]);
      const tolerance = { abs: 1e-7, rel: expected.dtype === 'float32' ? 1e-3 : 1e-2 };
      expectClose(await results[i]!.data(), valuesOf(expected), tolerance, `output ${i}: element`);
    }
  });
}
