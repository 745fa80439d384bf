#include "ops/concat.h"

#include <algorithm>

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* concat_tensors(Runtime& runtime, std::vector<const Tensor*> tensors, int64_t axis) {
  if (tensors.empty()) throw_range_error("[concat] tensors must be at least one");
  const Tensor* const model = tensors[0];
  int at = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string name = concat("tensors[", i, "]");
    const Tensor*& tensor = tensors[i];
    check_strided(Concat::kName, name.c_str(), tensor);
    if (i == 0) {
      check_rank(Concat::kName, name.c_str(), tensor, 1, kMaxRank);
      at = check_axis(Concat::kName, tensor, axis);
    }
    check_same_dtype(Concat::kName, name.c_str(), tensor, "tensors[0]", model);
    Shape shape = model->shape;
    if (tensor->shape.rank() == shape.rank()) shape[at] = tensor->shape[at];
    check_shape(Concat::kName, name.c_str(), tensor, shape);
  }
  for (const Tensor*& tensor : tensors) tensor = dense(runtime, tensor);
  // As many at a time as an op takes, each time with what there is already.
  Tensor* out = nullptr;
  for (size_t next = 0; next < tensors.size();) {
    Concat op{{}, at};
    size_t count = 0;
    if (out) op.parts[count++] = out;
    while (count < Concat::kMaxParts && next < tensors.size()) op.parts[count++] = tensors[next++];
    Shape shape = model->shape;
    shape[at] = 0;
    for (size_t i = 0; i < count; ++i) shape[at] += op.parts[i]->shape[at];
    check_size(shape);
    op.out = out = runtime.make(model, model->dtype, shape);
    runtime.submit(op);
  }
  return out;
}

}  // namespace heddle
