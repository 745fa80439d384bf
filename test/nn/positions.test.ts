import { bias, debertaBucket, nn, t5Bucket } from '#lib/index';
import { expectClose, OPS } from '../support/compare';
import { Fixture, fixtureNames, type Stored } from '../support/fixtures';

const alibiSlopes: typeof bias.alibiSlopes = (heads, options) => bias.alibiSlopes(heads, options);
const { sinusoidalPositions } = nn;

interface Case {
  name: string;
  op: string;
  params: Record<string, unknown>;
  inputs: Record<string, Stored>;
  outputs: Record<string, Stored>;
}
type Compute = (params: never, relative: readonly number[]) => ArrayLike<number>;

const LAYOUTS: Record<string, nn.SinusoidalOptions['layout']> = {
  interleaved: 'interleaved',
  halves: 'halves',
  'halves, exponent i/(d/2-1)': 'halves-inclusive',
  'halves, exponent i/(d/2-1), padding row zero': 'halves-inclusive',
};

// The rotations of this group, and their frequencies, are in test/models/rotary.test.ts.
const ops: Record<string, Compute> = {
  sinusoidal: ({ layout, length, dim, padding_idx: paddingIdx }: Record<string, number> & { layout: string }) =>
    sinusoidalPositions({ layout: LAYOUTS[layout], length: length!, dim: dim!, paddingIdx }),
  t5_bucket: (params: { bidirectional: boolean; num_buckets: number; max_distance: number }, relative) => {
    const { bidirectional, num_buckets: numBuckets, max_distance: maxDistance } = params;
    return relative.map((distance) => t5Bucket(distance, { bidirectional, numBuckets, maxDistance }));
  },
  deberta_log_bucket: (params: { bucket_size: number; max_position: number }, relative) =>
    relative.map((one) => debertaBucket(one, { bucketSize: params.bucket_size, maxPosition: params.max_position })),
  alibi_slopes: ({ heads }: { heads: number }) => alibiSlopes(heads),
  // In float32, as the reference has it.
  alibi_mpt: ({ heads, keys, alibi_bias_max: biasMax }: Record<'heads' | 'keys' | 'alibi_bias_max', number>) =>
    [...alibiSlopes(heads, { biasMax })].flatMap((slope) =>
      Array.from({ length: keys }, (_, key) => Math.fround(slope * (key + 1 - keys))),
    ),
};

if (fixtureNames('ops').includes('positions')) {
  const fixture = new Fixture<{ cases: Case[] }>('ops/positions');
  for (const { name, op, params, inputs, outputs } of fixture.cases.cases) {
    const compute = ops[op];
    if (!compute) continue;
    test(`positions: ${name}`, () => {
      const relative = inputs.relative ? [...fixture.value(inputs.relative).data] : [];
      const actual = compute(params as never, relative);
      for (const [key, stored] of Object.entries(outputs)) {
        const { data, shape } = fixture.value(stored);
        // float32 angles grow with the position.
        const rows = key.endsWith('_f32') ? shape[0]! : 0;
        const width = data.length / (rows || 1);
        const table = (i: number) => (rows ? 1e-6 + (9e-6 * Math.floor(i / width)) / rows : 1e-10);
        expectClose(actual, data, op === 'alibi_mpt' ? OPS : table, `${key}: element`);
      }
    });
  }
} else {
  test.skip('no fixtures: ops/positions', () => undefined);
}

test('odd widths, one position and none', () => {
  const row = [Math.sin(1), Math.cos(1), Math.sin(10000 ** (-2 / 3))];
  expectClose(sinusoidalPositions({ length: 2, dim: 3 }).subarray(3), row, () => 1e-15);
  const halves = sinusoidalPositions({ length: 2, dim: 3, layout: 'halves' });
  expectClose(halves, [0, 1, 0, Math.sin(1), Math.cos(1), 0], () => 1e-15);
  expect(sinusoidalPositions({ length: 0, dim: 4 })).toEqual(new Float64Array(0));
  expect(sinusoidalPositions({ length: 1, dim: 4 })).toEqual(Float64Array.of(0, 1, 0, 1));
});

test('slopes fall from head to head, buckets rise with the distance', () => {
  for (const heads of [1, 2, 8, 64]) {
    const slopes = alibiSlopes(heads);
    expect(slopes.at(-1)).toBeCloseTo(2 ** -8, 15);
    slopes.forEach((slope, i) => expect(slope).toBeCloseTo(slopes[0]! ** (i + 1), 15));
  }
  const distances = Array.from({ length: 2000 }, (_, i) => i);
  const behind = distances.map((i) => t5Bucket(-i));
  const ahead = distances.slice(1).map((i) => t5Bucket(i));
  expect(behind).toEqual([...behind].sort((a, b) => a - b));
  expect([behind.at(-1), ahead.at(-1), ahead[0]]).toEqual([15, 31, 17]);
  expect(distances.map((i) => t5Bucket(i, { bidirectional: false })).every((bucket) => bucket === 0)).toBe(true);
});

const wrong: [argument: string, call: () => unknown][] = [
  ['length', () => sinusoidalPositions({ length: -1, dim: 4 })],
  ['dim', () => sinusoidalPositions({ length: 1, dim: 0 })],
  ['dim', () => sinusoidalPositions({ length: 1, dim: 3, layout: 'halves-inclusive' })],
  ['layout', () => sinusoidalPositions({ length: 1, dim: 4, layout: 'whisper' as never })],
  ['paddingIdx', () => sinusoidalPositions({ length: 1, dim: 4, paddingIdx: 1 })],
  ['base', () => sinusoidalPositions({ length: 1, dim: 4, base: 0 })],
  ['relative', () => t5Bucket(0.5)],
  ['numBuckets', () => t5Bucket(0, { numBuckets: 1 })],
  ['maxDistance', () => t5Bucket(0, { maxDistance: 8 })],
  ['bucketSize', () => debertaBucket(0, { bucketSize: 1, maxPosition: 8 })],
  ['maxPosition', () => debertaBucket(0, { bucketSize: 8, maxPosition: 4 })],
  ['heads', () => alibiSlopes(0)],
  ['biasMax', () => alibiSlopes(1, { biasMax: NaN })],
];
test.each(wrong)('%s must fit', (argument, call) => {
  expect(call).toThrow(RangeError);
  expect(call).toThrow(new RegExp(`\\[[\\w.]+\\] ${argument} must`));
});
