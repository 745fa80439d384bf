import { Config } from '#lib/models/config';
import { llamaOptions } from '#lib/models/llama';
import { Rotary, rotaryFactor, type RotaryOptions } from '#lib/nn/rotary';
import { rope, tensor } from 'heddle';
import { expectClose, OPS } from '../support/compare';
import { Fixture, fixtureNames, type Stored } from '../support/fixtures';

// Frequencies and rotations of ops/positions: what a config says, as the reference reads it.

interface Case {
  name: string;
  op: string;
  params: Record<string, unknown> & { rope_scaling?: Record<string, unknown>; seq_len?: number };
  inputs: Record<string, Stored>;
  outputs: Record<string, Stored>;
}

if (fixtureNames('ops').includes('positions')) {
  const fixture = new Fixture<{ cases: Case[] }>('ops/positions');
  for (const { name, op, params, inputs, outputs } of fixture.cases.cases) {
    if (op === 'rope_inv_freq') {
      test(`positions ${name}`, async () => {
        const { head_dim: headDim, base, max_position_embeddings: positions, rope_scaling: scaling } = params;
        const values = {
          hidden_size: headDim,
          num_attention_heads: 1,
          vocab_size: 1,
          num_hidden_layers: 1,
          intermediate_size: 1,
          rope_theta: base,
          max_position_embeddings: positions,
          original_max_position_embeddings: params.original_max_position_embeddings,
          rope_scaling: scaling,
        };
        const rotary = llamaOptions(new Config(values, name)).positions as RotaryOptions;
        const last = tensor([(params.seq_len ?? 1) - 1], [1], { dtype: 'int32' });
        using kept = new Rotary(rotary);
        const frequencies = await kept.rotation(last).frequencies.data();
        expectClose(frequencies, fixture.value(outputs.inv_freq_f32!).data, { abs: 1e-6, rel: 1e-6 });
        expectClose([rotaryFactor(rotary.scaling)], fixture.value(outputs.attention_factor!).data, OPS);
      });
    } else if (op === 'rope') {
      test(`positions ${name}`, async () => {
        const { data, shape } = fixture.value(inputs.x!);
        const [batch = 0, heads = 0, length = 0, width = 0] = shape;
        const frequencies = tensor(Float32Array.from(fixture.value(outputs.inv_freq!).data));
        const places = tensor(Int32Array.from({ length: batch * length }, (_, n) => n % length));
        const x = tensor(Float32Array.from(data), [...shape]).transpose(1, 2).reshape([-1, heads, width]);
        for (const kind of ['half_split', 'interleaved']) {
          const y = rope(x, places, frequencies, { interleaved: kind === 'interleaved' });
          const back = y.reshape([batch, length, heads, width]).transpose(1, 2);
          // Angles are float32 products: they are off by up to an ulp of the angle.
          expectClose(await back.data(), fixture.value(outputs[kind]!).data, { abs: 2e-5, rel: 2e-5 }, kind);
        }
      });
    }
  }
} else {
  test.skip('no fixtures: ops/positions', () => undefined);
}
