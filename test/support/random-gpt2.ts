import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';

export interface Gpt2Shape {
  width: number;
  layers: number;
  heads: number;
  context: number;
  vocabulary: number;
}

/**
 * Writes a Hugging Face folder of a GPT-2 with small random weights in bfloat16; or, where `zeros` will do, with a hole
 * in their place, which takes no room on the disk.
 */
export function writeRandomGpt2(
  folder: string,
  { width, layers, heads, context, vocabulary }: Gpt2Shape,
  zeros = false,
): void {
  const shapes: [name: string, shape: number[]][] = [
    ['wte.weight', [vocabulary, width]],
    ['wpe.weight', [context, width]],
  ];
  for (let layer = 0; layer < layers; ++layer) {
    const part = (name: string, shape: number[]) => shapes.push([`h.${layer}.${name}`, shape]);
    for (const norm of ['ln_1', 'ln_2']) for (const kind of ['weight', 'bias']) part(`${norm}.${kind}`, [width]);
    for (const [name, rows, columns] of [
      ['attn.c_attn', width, 3 * width],
      ['attn.c_proj', width, width],
      ['mlp.c_fc', width, 4 * width],
      ['mlp.c_proj', 4 * width, width],
    ] as const) {
      part(`${name}.weight`, [rows, columns]);
      part(`${name}.bias`, [columns]);
    }
  }
  shapes.push(['ln_f.weight', [width]], ['ln_f.bias', [width]]);
  let end = 0;
  const header = Object.fromEntries(
    shapes.map(([name, shape]) => {
      const begin = end;
      end += 2 * shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const data = new Uint16Array(zeros ? 0 : end / 2);
  let state = 1;
  for (let i = 0; i < data.length; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = 0x3c00 | ((state >>> 16) & 0x80ff); // ± 0.008 … 0.03
  }
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'model.safetensors');
  writeFileSync(file, Buffer.concat([length, json, Buffer.from(data.buffer)]));
  truncateSync(file, 8 + json.length + end);
  writeFileSync(
    path.join(folder, 'config.json'),
    JSON.stringify({
      architectures: ['GPT2LMHeadModel'],
      n_embd: width,
      n_layer: layers,
      n_head: heads,
      n_positions: context,
      vocab_size: vocabulary,
    }),
  );
}
