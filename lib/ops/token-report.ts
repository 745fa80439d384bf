import { native } from '../native';
import { checkInteger } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/** What is told of a token that was chosen. */
export interface TokenFacts {
  /** ln p. */
  logProb: number;
  /** Of the distribution that it was chosen from, in nats. */
  entropy: number;
  /** The best tokens, best first. */
  alternatives: { id: number; logProb: number }[];
}

/**
 * For decoding loops: what is to be told of tokens [N] int32 chosen from softmax(logits [N, V] float32), packed so that
 * it goes where tokens go: [N, 2 + 2n] int32, floats as their bits. `readTokenReport` unpacks it.
 *
 * @param alternatives n, how many of the best tokens are wanted; at most 1024.
 */
export function tokenReport(logits: Tensor, tokens: Tensor, alternatives: number): Tensor {
  const name = 'tokenReport';
  checkInteger(name, 'alternatives', alternatives, 0);
  return wrap(native.tokenReport(unwrap(name, 'logits', logits), unwrap(name, 'tokens', tokens), alternatives));
}

/** One row of it: [2 + 2n]. */
export function readTokenReport(row: Int32Array): TokenFacts {
  const bits = new DataView(row.buffer, row.byteOffset, row.byteLength);
  const real = (at: number): number => bits.getFloat32(4 * at, true);
  return {
    logProb: real(0),
    entropy: real(1),
    alternatives: Array.from({ length: row.length / 2 - 1 }, (_, i) => ({
      id: row[2 + 2 * i] ?? 0,
      logProb: real(3 + 2 * i),
    })),
  };
}
