import { tensor, type Tensor } from 'heddle';
import { Random } from './random';

export type Normals = (shape: readonly number[], scale?: number) => Tensor;

/** Makes tensors of normal numbers, the same for the same seed and order. */
export function normalsOf(seed: number): Normals {
  const random = new Random(seed);
  return (shape, scale) =>
    tensor(
      random.normals(
        shape.reduce((product, size) => product * size, 1),
        scale,
      ),
      shape,
    );
}

/** The parameters of multi-head attention, by the names of PyTorch's nn.MultiheadAttention. */
export function multiHeadParameters(normals: Normals, width: number) {
  return {
    in_proj_weight: normals([3 * width, width], 0.2),
    in_proj_bias: normals([3 * width]),
    'out_proj.weight': normals([width, width], 0.2),
    'out_proj.bias': normals([width]),
  };
}
