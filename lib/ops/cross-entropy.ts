import { native } from '../native';
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

export interface CrossEntropyOptions {
  /** Rows with this label have no loss. Default -100. */
  ignoreIndex?: number | undefined;
  /** Share of the label that is spread over all classes (Szegedy et al., 2016, section 7), 0 to 1. Default 0. */
  labelSmoothing?: number | undefined;
  /** 'mean': of the rows that have a loss; 'none': a loss for each row, 0 where it is ignored. Default 'mean'. */
  reduction?: 'mean' | 'none' | undefined;
}

const INT32 = 2 ** 31;

/**
 * Cross entropy of softmax(logits) and labels, computed in float32: ln Σ e^x - x[label].
 *
 * @param logits [..., V] of a float dtype
 * @param labels [...] int32, in [0, V) or ignoreIndex; another one makes the result fail: INDEX_OUT_OF_RANGE.
 * @returns float32, [] or [...]; the mean of no rows is NaN.
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkOptions('crossEntropy', options, ['ignoreIndex', 'labelSmoothing', 'reduction']);
  const { ignoreIndex = -100, labelSmoothing = 0, reduction = 'mean' } = options;
  checkInteger('crossEntropy', 'ignoreIndex', ignoreIndex, -INT32, INT32 - 1);
  checkNumber('crossEntropy', 'labelSmoothing', labelSmoothing);
  checkOneOf('crossEntropy', 'reduction', reduction, ['mean', 'none']);
  return wrap(
    native.crossEntropy(
      unwrap('crossEntropy', 'logits', logits),
      unwrap('crossEntropy', 'labels', labels),
      ignoreIndex,
      labelSmoothing,
      reduction === 'mean',
    ),
  );
}
