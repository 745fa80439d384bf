import type { ForwardResult } from './forward';
import { captureOf, padded } from './forward-decoder';
import type { EncoderDecoder } from './nn/encoder-decoder';
import { Ragged } from './nn/ragged';
import type { Ids } from './prompt';

/** What was asked for, checked: rows of one length on each side. */
export interface EncoderDecoderBatch {
  ids: readonly Ids[];
  masks: readonly Ids[];
  decoderIds: readonly Ids[];
  decoderMasks: readonly Ids[];
  capture: readonly string[];
}

/** One pass of an encoder and its decoder. Inside, padding is left out: tokens run ragged. */
export function forwardEncoderDecoder(
  network: EncoderDecoder,
  { ids, masks, decoderIds, decoderMasks, capture }: EncoderDecoderBatch,
): ForwardResult {
  const { device } = network;
  const [sources, targets] = [new Ragged(masks, device), new Ragged(decoderMasks, device)];
  const taps = captureOf(capture);
  using source = network.encode({ ids, mask: masks, capture: taps, wantsHidden: true });
  const decoder = network.decoder(source);
  using cache = decoder.createCache(targets.batch, targets.length);
  const { logits } = decoder.forward({
    ids: targets.tokens(decoderIds),
    positions: targets.positions(),
    keyPositions: targets.keyPositions(),
    cuSeqlens: targets.tensor(targets.cuSeqlens),
    cache,
    capture: taps,
  });
  return {
    logits: targets.rows(logits),
    encoderLastHiddenState: sources.rows(source.hidden!),
    captured: padded(taps, (path) => [
      path.startsWith('encoder.') ? sources : targets,
      path.startsWith('encoder.') || path.includes('.crossAttention.') ? sources : targets,
    ]),
  };
}
