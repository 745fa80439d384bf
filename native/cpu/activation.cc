#include "cpu/activation.h"

#include "cpu/kernels.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr double kNsPerActivation = 1.0;

template <typename T>
void activate(const Activate& op, KernelContext& context) {
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  const auto apply = [&](auto function) {
    for_vectors(context, op.x->numel(), kNsPerActivation,
                [&](int64_t i, int lanes) { function(Vec::load(x + i, lanes)).store(out + i, lanes); });
  };
  if (op.activation == Activation::kSilu && op.alpha != 1.0f) {
    return apply([alpha = op.alpha](Vec v) { return swish(v, alpha); });
  }
  with_activation(op.activation, apply);
}

template <typename T>
void gate(const Gated& op, KernelContext& context) {
  const T* gate = op.gate->data<T>();
  const T* up = op.up->data<T>();
  T* out = op.out->data<T>();
  with_activation(op.activation, [&](auto function) {
    for_vectors(context, op.out->numel(), kNsPerActivation, [&](int64_t i, int lanes) {
      (function(Vec::load(gate + i, lanes)) * Vec::load(up + i, lanes)).store(out + i, lanes);
    });
  });
}

}  // namespace

void run(const Activate& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { activate<decltype(type)>(op, context); });
}

void run(const Gated& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { gate<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
