import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { loadModel } from '#lib/index';
import { WeightFolder } from '#lib/weights/folder';
import { SafetensorsFile } from '#lib/weights/safetensors';

// Weights in shards. The folder is that of the built-in model, its file cut in two.

const whole = path.resolve('models/shakespeare');
const folder = mkdtempSync(path.join(tmpdir(), 'heddle-shards-'));
const index = path.join(folder, 'model.safetensors.index.json');
const FIRST = 'model-00001-of-00002.safetensors';
const SECOND = 'model-00002-of-00002.safetensors';
const places: Record<string, string> = {};

beforeAll(() => {
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    cpSync(path.join(whole, name), path.join(folder, name));
  }
  const source = path.join(whole, 'model.safetensors');
  const bytes = readFileSync(source);
  using file = new SafetensorsFile(source);
  [...file.entries.keys()].forEach((name, i) => (places[name] = i % 3 === 0 ? SECOND : FIRST));
  for (const shard of [FIRST, SECOND]) {
    const parts: Buffer[] = [];
    const header: Record<string, object> = {};
    let offset = 0;
    for (const { name, dtype, shape, begin, end } of file.entries.values()) {
      if (places[name] !== shard) continue;
      header[name] = { dtype, shape, data_offsets: [offset, (offset += end - begin)] };
      parts.push(bytes.subarray(file.dataStart + begin, file.dataStart + end));
    }
    const json = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(path.join(folder, shard), Buffer.concat([size, json, ...parts]));
  }
});
beforeEach(() => {
  writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map: places }));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('a model in shards is the model', async () => {
  await using sharded = await loadModel(folder);
  await using model = await loadModel(whole);
  const options = { maxNewTokens: 20, doSample: false };
  expect(await sharded.generate('To be', options)).toEqual(await model.generate('To be', options));
});

test('the dtype of most bytes is told', async () => {
  using weights = await WeightFolder.open(folder, 'cpu');
  expect(weights.dtype).toBe('bfloat16');
  expect(weights.files).toHaveLength(2);
  expect(weights.find('nothing')).toBeUndefined();
});

const refused: [name: string, map: unknown, message: RegExp][] = [
  ['no map', undefined, /index.json: weight_map must be an object but is undefined/],
  ['a list', [], /weight_map must be an object/],
  ['a file above', { a: '../model.safetensors' }, /"a" must be in a .safetensors file of the folder but is in "..\//],
  ['a path', { a: '/etc/x.safetensors' }, /of the folder/],
  ['a path of Windows', { a: 'c:\\x.safetensors' }, /of the folder/],
  ['a hidden file', { a: '.x.safetensors' }, /of the folder/],
  ['a number', { a: 1 }, /of the folder/],
  ['another kind of file', { a: 'config.json' }, /of the folder/],
  ['a tensor that its file lacks', { a: FIRST }, /"a" must be in model-00001-of-00002.safetensors but is not/],
];
test.each(refused)('an index with %s is refused', async (_, map, message) => {
  writeFileSync(index, JSON.stringify({ weight_map: map }));
  await expect(loadModel(folder)).rejects.toThrow(RangeError);
  await expect(loadModel(folder)).rejects.toThrow(message);
});

test('an index with a file that is not there is refused', async () => {
  writeFileSync(index, JSON.stringify({ weight_map: { a: 'lost.safetensors' } }));
  await expect(loadModel(folder)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

test('an index that is no JSON is refused', async () => {
  writeFileSync(index, '{');
  await expect(loadModel(folder)).rejects.toThrow(/index.json is not valid JSON/);
});
