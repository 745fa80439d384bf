#include "cpu/activation.h"

#include "cpu/kernels.h"
#include "cpu/prefetch.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr double kNsPerActivation = 1.0;

/// Some numbers of a run, as floats: each activation is compiled once, not for each dtype and op.
class Chunk {
 public:
  static constexpr int64_t kSize = 1024;

  /// Of x, behind which other chunks may follow.
  template <typename T>
  void load(const T* x, int64_t count) {
    count_ = count;
    prefetch(x + count, kSize);
    each([&](int64_t i, int lanes) { Vec::load(x + i, lanes).store(values_ + i); });
  }
  template <typename T>
  void multiply(const T* x) {
    prefetch(x + count_, kSize);
    each([&](int64_t i, int lanes) { (Vec::load(values_ + i) * Vec::load(x + i, lanes)).store(values_ + i); });
  }
  template <typename T>
  void store(T* x) const {
    each([&](int64_t i, int lanes) { Vec::load(values_ + i).store(x + i, lanes); });
  }

  void activate(Activation activation, float alpha = 1.0f) {
    const auto apply = [&](auto function) {
      each([&](int64_t i, int) { function(Vec::load(values_ + i)).store(values_ + i); });
    };
    if (activation == Activation::kSilu && alpha != 1.0f) return apply([=](Vec v) { return swish(v, alpha); });
    with_activation(activation, apply);
  }

 private:
  template <typename Body>
  void each(const Body& body) const {
    vectors_of(0, count_, body);
  }

  int64_t count_ = 0;
  alignas(64) float values_[kSize];
};

/// Calls body(chunk, begin, count) for what [0, count) consists of.
template <typename Body>
void for_chunks(KernelContext& context, int64_t count, const Body& body) {
  for_runs(context, count, kNsPerActivation, [&](int64_t begin, int64_t end) {
    Chunk chunk;
    for (int64_t i = begin; i < end; i += Chunk::kSize) body(chunk, i, std::min(Chunk::kSize, end - i));
  });
}

template <typename T>
void activate(const Activate& op, KernelContext& context) {
  for_chunks(context, op.x->numel(), [&](Chunk& chunk, int64_t begin, int64_t count) {
    chunk.load(op.x->data<T>() + begin, count);
    chunk.activate(op.activation, op.alpha);
    chunk.store(op.out->data<T>() + begin);
  });
}

template <typename T>
void gate(const Gated& op, KernelContext& context) {
  for_chunks(context, op.out->numel(), [&](Chunk& chunk, int64_t begin, int64_t count) {
    chunk.load(op.gate->data<T>() + begin, count);
    chunk.activate(op.activation);
    chunk.multiply(op.up->data<T>() + begin);
    chunk.store(op.out->data<T>() + begin);
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
