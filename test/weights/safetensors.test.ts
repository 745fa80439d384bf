import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { embedding, tensor } from 'heddle';
import { SafetensorsFile } from '#lib/weights/safetensors';
import { FLOATS, rounded } from '../support/dtype';
import { Random } from '../support/random';

// Every rule of the format, broken in turn.

const folder = mkdtempSync(path.join(tmpdir(), 'heddle-safetensors-'));
const file = path.join(folder, 'x.safetensors');
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(header: string | Buffer, data: Buffer = Buffer.alloc(16), length?: number): void {
  const json = Buffer.from(header as string);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(length ?? json.length));
  writeFileSync(file, Buffer.concat([size, json, data]));
}
const names = () => {
  using opened = new SafetensorsFile(file);
  return [...opened.entries.keys()];
};

const coded = (code: string) => expect.objectContaining({ code }) as Error;

const A = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
const B = { dtype: 'F32', shape: [2], data_offsets: [8, 16] };
const json = (value: object) => JSON.stringify(value);

test.each([
  ['two tensors', json({ A, B })],
  ['metadata', json({ __metadata__: { format: 'pt' }, A, B })],
  ['padding behind', `${json({ A, B })}    `],
  ['another order', json({ B, A })],
  ['an unknown field', json({ A: { ...A, more: [1, { x: null }] }, B })],
  ['an empty tensor', json({ A, B, C: { dtype: 'F32', shape: [0], data_offsets: [16, 16] } })],
  ['a scalar', json({ A: { dtype: 'F64', shape: [], data_offsets: [0, 8] }, B })],
  ['eight-bit floats', json({ A: { dtype: 'F8_E4M3', shape: [8], data_offsets: [0, 8] }, B })],
])('%s is read', (_, header) => {
  write(header);
  expect(names()).toEqual(expect.arrayContaining(['A', 'B']));
});

test.each<[string, string | Buffer]>([
  ['something before the brace', ` ${json({ A, B })}`],
  ['a name twice', `{"A":${json(A)},"A":${json(B)}}`],
  ['a name twice, once escaped', `{"A":${json(A)},"\\u0041":${json(B)}}`],
  ['a key of an entry twice', `{"A":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]},"B":${json(B)}}`],
  ['a hole', json({ A: { ...A, shape: [1], data_offsets: [0, 4] }, B })],
  ['an overlap', json({ A, B: { ...B, shape: [3], data_offsets: [4, 16] } })],
  ['a start after 0', json({ B })],
  ['an end before the file’s', json({ A })],
  ['an end before its begin', json({ A, B: { ...B, data_offsets: [16, 8] } })],
  ['another number of bytes', json({ A: { ...A, shape: [3] }, B })],
  ['an unknown dtype', json({ A: { ...A, dtype: 'F33' }, B })],
  ['a negative size', json({ A: { ...A, shape: [-2] }, B })],
  ['a size that is not whole', json({ A: { ...A, shape: [2.5] }, B })],
  ['a missing field', json({ A: { dtype: 'F32', shape: [2] }, B })],
  ['metadata that is no string', json({ __metadata__: { a: 1 }, A, B })],
  ['something behind', `${json({ A, B })}x`],
  ['an array', '[]'],
  ['no end', '{'],
  ['an overflow', json({ A: { ...A, shape: [2 ** 33, 2 ** 33] }, B })],
  ['deep nesting', `{"A":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":${'['.repeat(100_000)}`],
  ['broken UTF-8', Buffer.concat([Buffer.from('{"'), Buffer.of(0xff), Buffer.from(`":${json(A)},"B":${json(B)}}`)])],
])('%s is refused', (_, header) => {
  write(header);
  expect(names).toThrow(coded('INVALID_SAFETENSORS'));
});

test('header lengths that cannot be', () => {
  for (const length of [200_000_000, 5000, 0]) {
    write(json({ A, B }), undefined, length);
    expect(names).toThrow(/\[safetensors\].*x\.safetensors/);
  }
  writeFileSync(file, 'short');
  expect(names).toThrow(RangeError);
});

test('a file that is not there', () => {
  expect(() => new SafetensorsFile(path.join(folder, 'none'))).toThrow(coded('FILE_NOT_FOUND'));
  expect(() => new SafetensorsFile(folder)).toThrow(coded('READ_FAILED'));
});

test('a weight that is cut off after the header was read', async () => {
  write(json({ A, B }));
  using opened = new SafetensorsFile(file);
  writeFileSync(file, '');
  await expect(opened.load('A').data()).rejects.toMatchObject({ code: 'READ_FAILED' });
});

describe('weights of every dtype, as every dtype', () => {
  const [rows, columns] = [70, 9];
  const numbers = new Random(3).normals(rows * columns);
  const stored = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

  test.each(Object.keys(stored) as (keyof typeof stored)[])('%s', async (dtype) => {
    const from = stored[dtype];
    const values = rounded(numbers, from);
    const bytes = Buffer.from(await tensor(values, [values.length], { dtype: from }).bytes());
    write(json({ W: { dtype, shape: [rows, columns], data_offsets: [0, bytes.length] } }), bytes);
    using opened = new SafetensorsFile(file);
    for (const to of FLOATS) {
      const expected = rounded(values, to);
      const dense = opened.load('W', { dtype: to });
      expect([dense.dtype, dense.shape, await dense.data()]).toEqual([to, [rows, columns], expected]);
      const across = opened.load('W', { dtype: to, transposed: true });
      expect([across.shape, await across.transpose().data()]).toEqual([[columns, rows], expected]);
      for (const transposed of [false, true]) {
        const packed = opened.load('W', { dtype: to, transposed, packed: true });
        const ids = tensor(Int32Array.from({ length: packed.shape[0]! }, (_, i) => i));
        const found = embedding(packed, ids);
        expect([packed.packed, found.dtype]).toEqual([true, to]);
        expect(await (transposed ? found.transpose() : found).data()).toEqual(expected);
      }
    }
  });

  test('NaN and bits that no rounding would keep are copied', async () => {
    const halves = Uint16Array.of(0x7fc1, 0xff81, 0x0001, 0x8000, 0x7f80, 0x3f80);
    write(json({ W: { dtype: 'BF16', shape: [6], data_offsets: [0, 12] } }), Buffer.from(halves.buffer));
    using opened = new SafetensorsFile(file);
    const found = await opened.load('W', { dtype: 'bfloat16' }).bytes();
    expect([...new Uint16Array(found.buffer)]).toEqual([...halves]);
  });

  test('others are refused by name', () => {
    write(json({ W: { dtype: 'F64', shape: [2], data_offsets: [0, 16] } }));
    using opened = new SafetensorsFile(file);
    expect(() => opened.load('W', { dtype: 'bfloat16' })).toThrow(/\[load_weight\] W has dtype F64/);
  });
});
