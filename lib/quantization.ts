import type { Config } from './models/config';
import { openCheckpoint } from './models/load';
import type { Parameter } from './nn/parameters';
import { mul, sub } from './ops/arithmetic';
import { embedding } from './ops/embedding';
import { sum } from './ops/reduce';
import { roomInQueue } from './tensor/queue';
import { scope } from './tensor/scope';
import { isQuantized, tensor, type QuantizedDType, type Tensor } from './tensor/tensor';

export interface QuantizationReportOptions {
  /** What perplexities are of, before and after; for decoders. It takes the memory of the model that is not quantized. */
  text?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** What became of one weight w: ŵ. */
export interface QuantizedWeight {
  /** 'layers.0.attention.qkv.weight' */
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype: QuantizedDType;
  /** ‖w − ŵ‖ / ‖w‖, of all its numbers. */
  readonly relativeError: number;
}

export interface QuantizationReport {
  /** Empty for a model that is not quantized. */
  readonly weights: readonly QuantizedWeight[];
  /** The same of all weights together; 0 where there are none. */
  readonly relativeError: number;
  /** Of the text, if one was given: with the weights as the folder has them, and quantized. */
  readonly perplexity?: { readonly before: number; readonly after: number };
}

/** Rows of a table at a time. */
const CHUNK_ELEMENTS = 2 ** 22;

/** Not a number where a weight has such. */
const relative = (error: number, all: number): number => (all === 0 ? 0 : Math.sqrt(error / all));

/** Σ (w − ŵ)² and Σ w². */
async function squares(
  weight: Tensor,
  quantized: Tensor,
  signal: AbortSignal | undefined,
): Promise<readonly [error: number, all: number]> {
  const [rows, width] = weight.shape as [number, number];
  const chunk = Math.max(1, Math.floor(CHUNK_ELEMENTS / Math.max(1, width)));
  const total: [number, number] = [0, 0];
  for (let begin = 0; begin < rows; begin += chunk) {
    const end = Math.min(rows, begin + chunk);
    await roomInQueue('cpu');
    signal?.throwIfAborted();
    const parts = scope(() => {
      const part = weight.slice(0, begin, end);
      const ids = Int32Array.from({ length: end - begin }, (_, i) => begin + i);
      const error = sub(part, embedding(quantized, tensor(ids, [ids.length], { device: weight.device })));
      return [error, part].map((x) => sum(mul(x, x).reshape([(end - begin) * width])));
    });
    using error = parts[0]!;
    using all = parts[1]!;
    total[0] += (await error.data())[0]!;
    total[1] += (await all.data())[0]!;
  }
  return total;
}

/** What quantizing did to each weight of a model's folder: they are read, and quantized, once more. */
export async function describeQuantization(
  folder: string,
  config: Config,
  parameters: readonly Parameter[],
  signal: AbortSignal | undefined,
): Promise<Pick<QuantizationReport, 'weights' | 'relativeError'>> {
  const weights: QuantizedWeight[] = [];
  const total = { error: 0, all: 0 };
  const quantize = parameters.map(({ dtype }) => dtype).find(isQuantized);
  if (quantize === undefined) return { weights, relativeError: 0 };
  await using checkpoint = await openCheckpoint(folder, config, 'cpu', { dtype: 'float32', quantize });
  for (const { path, shape, dtype } of parameters) {
    if (dtype !== quantize) continue;
    signal?.throwIfAborted();
    const pair = shape as [number, number];
    using weight = checkpoint.dense(path, pair);
    using quantized = checkpoint.matrix(path, pair);
    const [error, all] = await squares(weight, quantized, signal);
    total.error += error;
    total.all += all;
    weights.push({ path, shape, dtype, relativeError: relative(error, all) });
  }
  return { weights, relativeError: relative(total.error, total.all) };
}
