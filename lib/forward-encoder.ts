import type { EncoderBatch, ForwardResult } from './forward';
import { Capture } from './nn/capture';
import type { Encoder } from './nn/encoder';
import type { Globals } from './nn/encoder-attention';
import type { Ids } from './prompt';
import type { DeviceName } from './tensor/device';
import { tensor, type Tensor } from './tensor/tensor';

/** One pass of an encoder, over the padded batch. */
export function forwardEncoder(
  encoder: Encoder,
  { ids, masks, positions, tokenTypes, globalMasks, capture }: EncoderBatch,
  architecture: string,
): ForwardResult {
  const { device } = encoder;
  const [batch, length] = [ids.length, ids[0]?.length ?? 0];
  const int32 = (rows: readonly Ids[]) =>
    tensor(Int32Array.from(rows.flatMap((row) => [...row])), [batch * length], { device });
  const real = Uint8Array.from(masks.flatMap((row) => [...row]));
  const padded = real.includes(0);
  const taps = capture.length > 0 ? new Capture(capture) : undefined;
  const outputs = encoder.forward({
    ...{ batch, length, ids: int32(ids), positions: int32(positions), types: int32(tokenTypes), capture: taps },
    isToken: (b, at) => masks[b]![at] !== 0,
    globals: globalsOf(globalMasks, masks, device),
    tokens: padded ? tensor(real, [batch, 1, 1, length], { dtype: 'bool', device }) : undefined,
    documents:
      padded && encoder.options.windows
        ? int32(masks.map((row) => Array.from(row, (one) => one - 1))).reshape([batch, length])
        : undefined,
  });
  const result = { ...outputs, captured: captured(taps, batch, length) };
  if (!outputs.logits) {
    const names = Object.keys(outputs).join(' and ');
    Object.defineProperty(result, 'logits', {
      get: () => {
        throw new TypeError(`[Model.forward] ${architecture} has no logits: it gives ${names}`);
      },
    });
  }
  return result as ForwardResult;
}

/** Padding is never global. */
function globalsOf(globalMasks: readonly Ids[], masks: readonly Ids[], device: DeviceName): Globals | undefined {
  const length = masks[0]?.length ?? 0;
  const positions = globalMasks.map((row, b) =>
    Array.from(row.keys()).filter((at) => row[at] !== 0 && masks[b]![at] !== 0),
  );
  const count = Math.max(...positions.map((places) => places.length));
  if (count === 0) return undefined;
  const union = [...new Set(positions.flat())].sort((a, b) => a - b);
  const differ = positions.some((places) => places.length < union.length);
  const keys = new Uint8Array(positions.length * length);
  positions.forEach((places, b) => {
    for (const at of places) keys[b * length + at] = 1;
  });
  const rows = positions.flatMap((places, b) =>
    Array.from({ length: count }, (_, g) => (g < places.length ? b * length + places[g]! : -1)),
  );
  return {
    ...{ positions, count, union },
    rows: tensor(Int32Array.from(rows), [rows.length], { device }),
    keys: differ ? tensor(keys, [positions.length, 1, 1, length], { dtype: 'bool', device }) : undefined,
  };
}

/** [B · T, …] → [B, T, C]; attention's own have their shape. */
function captured(taps: Capture | undefined, batch: number, length: number): Record<string, Tensor> {
  const entries = Object.entries(taps?.tensors ?? {});
  return Object.fromEntries(
    entries.map(([path, x]) => [path, x.shape.length === 4 ? x : x.reshape([batch, length, -1])]),
  );
}
