import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { SafetensorsFile } from '#lib/weights/safetensors';

// Every rule of the format, broken in turn.

const folder = mkdtempSync(path.join(tmpdir(), 'heddle-safetensors-'));
const file = path.join(folder, 'x.safetensors');
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(header: string | Buffer, data = 16, length?: number): void {
  const json = Buffer.from(header as string);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(length ?? json.length));
  writeFileSync(file, Buffer.concat([size, json, Buffer.alloc(data)]));
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
    write(json({ A, B }), 16, length);
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
