import { t5Bucket } from 'heddle';
import * as naive from './naive';
import type { Weights } from './random-model';

// Encoder-decoders by their formulas in float64, one sequence at a time, by the names of their checkpoints.

type Rows = number[][];
const exact = (x: number) => x;

/** What a formula reads of a checkpoint. */
class Plain {
  constructor(
    readonly weights: Weights,
    readonly config: Readonly<Record<string, unknown>>,
  ) {}

  number(key: string): number {
    return this.config[key] as number;
  }

  rows(name: string): Rows {
    const { shape, data } = this.weights[name]!;
    const width = shape[1]!;
    return Array.from({ length: shape[0]! }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
  }

  linear(x: Rows, name: string): Rows {
    const bias = this.weights[`${name}.bias`]?.data;
    const matrix = this.rows(`${name}.weight`);
    return x.map((row) => matrix.map((w, n) => dot(row, w) + (bias?.[n] ?? 0)));
  }

  layerNorm(x: Rows, name: string): Rows {
    const [weight, bias] = [this.weights[`${name}.weight`]!.data, this.weights[`${name}.bias`]!.data];
    return x.map((row) => {
      const mean = row.reduce((a, b) => a + b, 0) / row.length;
      const variance = row.reduce((sum, y) => sum + (y - mean) ** 2, 0) / row.length;
      return row.map((y, i) => ((y - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + bias[i]!);
    });
  }

  rmsNorm(x: Rows, name: string): Rows {
    const weight = this.weights[`${name}.weight`]!.data;
    const eps = this.number('layer_norm_epsilon');
    return x.map((row) => {
      const square = row.reduce((sum, y) => sum + y * y, 0) / row.length;
      return row.map((y, i) => (y / Math.sqrt(square + eps)) * weight[i]!);
    });
  }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);
const plus = (a: Rows, b: Rows): Rows => a.map((row, i) => row.map((x, j) => x + b[i]![j]!));
const times = (a: Rows, factor: number): Rows => a.map((row) => row.map((x) => x * factor));

interface Heads {
  count: number;
  scale: number;
  causal: boolean;
  bias?: (head: number, query: number, key: number) => number;
}

/** softmax(scale · q kᵀ + bias) v of each head, side by side. */
function attend(q: Rows, k: Rows, v: Rows, { count, scale, causal, bias }: Heads): Rows {
  const width = q[0]!.length / count;
  return q.map((query, i) =>
    Array.from({ length: count }, (_, h) => {
      const part = (row: number[]) => row.slice(h * width, (h + 1) * width);
      const seen = k.slice(0, causal ? i + 1 : k.length);
      const scores = seen.map((key, j) => scale * dot(part(query), part(key)) + (bias?.(h, i, j) ?? 0));
      const top = Math.max(...scores);
      const powers = scores.map((score) => Math.exp(score - top));
      const sum = powers.reduce((a, b) => a + b, 0);
      const out = new Array<number>(width).fill(0);
      powers.forEach((p, j) => part(v[j]!).forEach((y, d) => (out[d]! += (p / sum) * y)));
      return out;
    }).flat(),
  );
}

/** In what BART and what descends from it differ. */
export interface BartFamily {
  preNorm: boolean;
  embeddingNorm: boolean;
  /** Sines, then cosines; else a table with two rows before the first position. */
  sinusoidal: boolean;
}

/** Logits [T, V] of BART (Lewis et al., 2020), Marian or Pegasus. */
export function plainBart(
  config: Readonly<Record<string, unknown>>,
  weights: Weights,
  { preNorm, embeddingNorm, sinusoidal }: BartFamily,
  ids: readonly number[],
  decoderIds: readonly number[],
): Rows {
  const plain = new Plain(weights, config);
  const width = plain.number('d_model');
  const tokensOf = (side: string) => {
    const own = `model.${side}.embed_tokens.weight`;
    return plain.rows(own in weights ? own : 'model.shared.weight');
  };
  const position = (side: string, at: number): number[] => {
    const name = `model.${side}.embed_positions.weight`;
    if (name in weights) return plain.rows(name)[at + (sinusoidal ? 0 : 2)]!;
    const angles = Array.from({ length: width / 2 }, (_, i) => at / 10000 ** ((2 * i) / width));
    return [...angles.map(Math.sin), ...angles.map(Math.cos)];
  };
  const embed = (side: string, tokens: readonly number[]): Rows => {
    const table = tokensOf(side);
    const scale = config.scale_embedding === true ? Math.sqrt(width) : 1;
    const x = tokens.map((id, at) => table[id]!.map((y, i) => y * scale + position(side, at)[i]!));
    return embeddingNorm ? plain.layerNorm(x, `model.${side}.layernorm_embedding`) : x;
  };
  const connect = (x: Rows, norm: string, part: (y: Rows) => Rows): Rows =>
    preNorm ? plus(x, part(plain.layerNorm(x, norm))) : plain.layerNorm(plus(x, part(x)), norm);
  const attention = (x: Rows, memory: Rows | undefined, path: string, side: string, causal: boolean): Rows =>
    connect(x, `${path}_layer_norm`, (y) => {
      const count = plain.number(`${side}_attention_heads`);
      const kv = memory ?? y;
      const [q, k, v] = [
        plain.linear(y, `${path}.q_proj`),
        plain.linear(kv, `${path}.k_proj`),
        plain.linear(kv, `${path}.v_proj`),
      ];
      const heads = attend(q, k, v, { count, scale: Math.sqrt(count / width), causal });
      return plain.linear(heads, `${path}.out_proj`);
    });
  const activation = naive.activations[config.activation_function as 'gelu'];
  const run = (side: string, x: Rows, memory?: Rows): Rows => {
    for (let i = 0; i < plain.number(`${side}_layers`); ++i) {
      const path = `model.${side}.layers.${i}`;
      x = attention(x, undefined, `${path}.self_attn`, side, memory !== undefined);
      if (memory) x = attention(x, memory, `${path}.encoder_attn`, side, false);
      x = connect(x, `${path}.final_layer_norm`, (y) => {
        const inner = plain.linear(y, `${path}.fc1`).map((row) => row.map((z) => activation(z, exact)));
        return plain.linear(inner, `${path}.fc2`);
      });
    }
    return preNorm ? plain.layerNorm(x, `model.${side}.layer_norm`) : x;
  };
  const memory = run('encoder', embed('encoder', ids));
  const hidden = run('decoder', embed('decoder', decoderIds), memory);
  const head = 'lm_head.weight' in weights ? plain.rows('lm_head.weight') : tokensOf('decoder');
  const bias = weights.final_logits_bias?.data;
  return hidden.map((row) => head.map((w, n) => dot(row, w) + (bias?.[n] ?? 0)));
}

/** Logits [T, V] of T5 (Raffel et al., 2020), with a gate where the checkpoint has one. `places`: of the source's tokens. */
export function plainT5(
  config: Readonly<Record<string, unknown>>,
  weights: Weights,
  ids: readonly number[],
  decoderIds: readonly number[],
  places: readonly number[] = [...ids.keys()],
): Rows {
  const plain = new Plain(weights, config);
  const count = plain.number('num_heads');
  const table = plain.rows('shared.weight');
  const name = String(config.feed_forward_proj).replace('gated-', '');
  const activation = naive.activations[config.feed_forward_proj === 'gated-gelu' ? 'gelu_new' : (name as 'relu')];
  const attention = (x: Rows, memory: Rows | undefined, path: string, side: string): Rows => {
    const isDecoder = side === 'decoder';
    const biases = plain.rows(`${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`);
    const [numBuckets, maxDistance] = [biases.length, plain.number('relative_attention_max_distance')];
    const distance = (i: number, j: number) => (isDecoder ? j - i : places[j]! - places[i]!);
    const bias = (h: number, i: number, j: number) =>
      biases[t5Bucket(distance(i, j), { bidirectional: !isDecoder, numBuckets, maxDistance })]![h]!;
    const kv = memory ?? x;
    const [q, k, v] = [plain.linear(x, `${path}.q`), plain.linear(kv, `${path}.k`), plain.linear(kv, `${path}.v`)];
    const heads = attend(q, k, v, { count, scale: 1, causal: isDecoder && !memory, ...(!memory && { bias }) });
    return plain.linear(heads, `${path}.o`);
  };
  const run = (side: string, tokens: readonly number[], memory?: Rows): Rows => {
    let x = tokens.map((id) => table[id]!);
    for (let i = 0; i < plain.number(memory ? 'num_decoder_layers' : 'num_layers'); ++i) {
      const path = (at: number) => `${side}.block.${i}.layer.${at}`;
      const normed = (at: number) => plain.rmsNorm(x, `${path(at)}.layer_norm`);
      x = plus(x, attention(normed(0), undefined, `${path(0)}.SelfAttention`, side));
      if (memory) x = plus(x, attention(normed(1), memory, `${path(1)}.EncDecAttention`, side));
      const at = memory ? 2 : 1;
      const up = (part: string) => plain.linear(normed(at), `${path(at)}.DenseReluDense.${part}`);
      const active = (rows: Rows) => rows.map((row) => row.map((y) => activation(y, exact)));
      const isGated = `${path(at)}.DenseReluDense.wi_0.weight` in weights;
      const linear = isGated ? up('wi_1') : [];
      const inner = isGated
        ? active(up('wi_0')).map((row, r) => row.map((y, c) => y * linear[r]![c]!))
        : active(up('wi'));
      x = plus(x, plain.linear(inner, `${path(at)}.DenseReluDense.wo`));
    }
    return plain.rmsNorm(x, `${side}.final_layer_norm`);
  };
  const hidden = run('decoder', decoderIds, run('encoder', ids));
  const tied = config.tie_word_embeddings !== false;
  const head = tied ? table : plain.rows('lm_head.weight');
  return times(hidden, tied ? plain.number('d_model') ** -0.5 : 1).map((row) => head.map((w) => dot(row, w)));
}
