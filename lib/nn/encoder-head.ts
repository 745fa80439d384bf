import type { Activation } from '../ops/activation';
import { gatherRows } from '../ops/gather-rows';
import { tensor, type Tensor } from '../tensor/tensor';
import { Linear, Norm, type NormOptions } from './layers';
import type { ParameterSource } from './parameters';

/** What stands on an encoder. */
export type EncoderHeadOptions =
  /** Nothing; with a pooler: the first token through a layer with tanh (Devlin et al., 2019, section 3). */
  | { kind: 'none'; pooler: boolean }
  /** Logits of every token (Devlin et al., 2019, section 3.1), by the token table or one of its own. */
  | { kind: 'maskedLM'; activation: Activation; tied: boolean }
  /** Logits of the whole sequence, on the first token: a layer with tanh, then the classifier. */
  | { kind: 'sequenceClassification'; numLabels: number }
  | { kind: 'tokenClassification'; numLabels: number }
  /** Where an answer begins and where it ends (Devlin et al., 2019, section 4.2). */
  | { kind: 'questionAnswering' };

/** Logits are float32, the others of the model's dtype. */
export interface EncoderOutputs {
  /** [B, T, V] or [B, T, L]; of a sequence classifier [B, L]. */
  logits?: Tensor;
  /** [B, T] */
  startLogits?: Tensor;
  /** [B, T] */
  endLogits?: Tensor;
  /** [B, T, C] */
  lastHiddenState?: Tensor;
  /** [B, C] */
  poolerOutput?: Tensor;
}

/** What turns the last layer's rows into outputs. */
export interface EncoderHead extends Disposable {
  /** x [B · T, C] */
  forward(x: Tensor, batch: number, length: number): EncoderOutputs;
}

export interface EncoderHeadContext {
  width: number;
  vocabSize: number;
  norm: NormOptions;
  /** [V, C], packed if the head shares it. */
  tokens: Tensor;
}

export function createHead(
  source: ParameterSource,
  options: EncoderHeadOptions,
  { width, vocabSize, norm, tokens }: EncoderHeadContext,
): EncoderHead {
  switch (options.kind) {
    case 'none': {
      const pooler = options.pooler ? new Pooler(source, width) : undefined;
      return headOf([pooler], (x, batch, length) => ({
        lastHiddenState: x.reshape([batch, length, -1]),
        ...(pooler && { poolerOutput: pooler.forward(x, batch, length) }),
      }));
    }
    case 'maskedLM': {
      const transform = Linear.load(source, 'head.transform', [width, width], true);
      const transformNorm = Norm.load(source, 'head.transformNorm', width, norm);
      const table = options.tied ? tokens : source.matrix('head.weight', [vocabSize, width]);
      const output = new Linear(table, source.dense('head.bias', [vocabSize]));
      return headOf([transform, transformNorm, output], (x, batch, length) => {
        const inner = transformNorm.forward(transform.forward(x, { activation: options.activation }));
        return { logits: output.forward(inner, { outDtype: 'float32' }).reshape([batch, length, -1]) };
      });
    }
    case 'sequenceClassification': {
      const pooler = new Pooler(source, width);
      const classifier = Linear.load(source, 'head.classifier', [options.numLabels, width], true);
      return headOf([pooler, classifier], (x, batch, length) => ({
        logits: classifier.forward(pooler.forward(x, batch, length), { outDtype: 'float32' }),
      }));
    }
    case 'tokenClassification': {
      const classifier = Linear.load(source, 'head.classifier', [options.numLabels, width], true);
      return headOf([classifier], (x, batch, length) => ({
        logits: classifier.forward(x, { outDtype: 'float32' }).reshape([batch, length, -1]),
      }));
    }
    case 'questionAnswering': {
      const ends = Linear.load(source, 'head.ends', [2, width], true);
      return headOf([ends], (x, batch, length) => {
        const logits = ends.forward(x, { outDtype: 'float32' });
        const column = (at: number) => logits.slice(1, at, at + 1).reshape([batch, length]);
        return { startLogits: column(0), endLogits: column(1) };
      });
    }
  }
}

function headOf(parts: readonly (Disposable | undefined)[], forward: EncoderHead['forward']): EncoderHead {
  return {
    forward,
    [Symbol.dispose]() {
      for (const part of parts) part?.[Symbol.dispose]();
    },
  };
}

/** The first token of each sequence through a layer with tanh. */
class Pooler implements Disposable {
  readonly #dense: Linear;

  constructor(source: ParameterSource, width: number) {
    this.#dense = Linear.load(source, 'head.pooler', [width, width], true);
  }

  /** x [B · T, C] → [B, C] */
  forward(x: Tensor, batch: number, length: number): Tensor {
    const firsts = Int32Array.from({ length: batch }, (_, b) => b * length);
    const index = tensor(firsts, [batch], { device: x.device });
    return this.#dense.forward(gatherRows(x, index), { activation: 'tanh' });
  }

  [Symbol.dispose](): void {
    this.#dense[Symbol.dispose]();
  }
}
