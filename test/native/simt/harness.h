#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/failure.h"
#include "cuda/kernels.h"

namespace heddle::test {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

// ---- Cases

/// What follows belongs to this op, or to this case of it.
void begin_op(const char* name);
void begin_case(const std::string& name);
/// The case does not hold.
void fail(const std::string& why);
inline void expect(bool holds, const std::string& what) {
  if (!holds) fail(what);
}
/// Prints the last op and the totals; the exit status.
int finish();
/// Whether the first failure ends the process.
extern bool stop_at_failure;

// ---- Tensors of the simulated device

/// Memory of exactly a tensor's size, so that AddressSanitizer sees what lies outside. It holds NaN until written.
class Values {
 public:
  Values(DType dtype, const Shape& shape);
  static Values of(const Shape& shape, const Floats& values, DType dtype = DType::kFloat32);
  static Values of(const Shape& shape, const Ints& values);
  /// `values`, row-major, laid out with these strides in memory that holds NaN elsewhere.
  static Values of(const Shape& shape, const Floats& values, const Shape& strides, int64_t offset,
                   DType dtype = DType::kFloat32);

  operator Tensor*() const { return tensor_.get(); }
  Tensor* operator->() const { return tensor_.get(); }
  /// Null, for what an op may lack, unless `wanted`.
  Tensor* when(bool wanted) const { return wanted ? tensor_.get() : nullptr; }

  /// Of any float dtype, widened.
  Floats floats() const;
  Ints ints() const;
  std::vector<char> bytes() const;

 private:
  struct Memory {
    explicit Memory(size_t bytes);
    Storage storage;
    std::unique_ptr<char[]> data;
  };
  Values(size_t elements, DType dtype, const Shape& shape, const Shape& strides, int64_t offset);

  std::shared_ptr<Memory> memory_;
  std::shared_ptr<Tensor> tensor_;
};

// ---- Running

/// What kernels believe of the device.
extern int num_multiprocessors;
extern int compute_capability;

using Launch = std::function<cuda::Status(cuda::CudaContext& context)>;
/// Runs what an op launches under several schedules, which must give the same bytes. Returns what it found wrong with
/// its data.
unsigned long long run_schedules(const char* name, const Launch& launch, const std::vector<Tensor*>& writes);

template <typename Op>
unsigned long long run(const Op& op) {
  std::vector<Tensor*> writes;
  for (Tensor* tensor : op.writes()) {
    if (tensor) writes.push_back(tensor);
  }
  return run_schedules(
      Op::kName, [&](cuda::CudaContext& context) { return cuda::run(op, context); }, writes);
}

/// The same, of an op that finds nothing wrong.
template <typename Op>
void compute(const Op& op) {
  expect(run(op) == cuda::kNoFailure, "the op failed");
}

/// A case of a kernel that is wrong: the simulator must end its process with these words.
void expect_stop(const char* name, int threads, const std::vector<std::string>& words,
                 const std::function<void()>& kernel, size_t shared_bytes = 0);

void expect_failure(unsigned long long record, Fault fault, int64_t index, int32_t value);

// ---- Numbers

constexpr DType kFloatTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

/// The nearest values that a dtype has.
Floats rounded(Floats values, DType dtype);
/// Normally distributed, the same on every machine, such as a dtype has.
Floats normals(int64_t count, uint32_t seed, DType dtype = DType::kFloat32);

/// The judge of a kernel: its error against the formula in float64 is at most twice the largest error of the same plain
/// formula in the same dtype, give or take 4 units of float32 in the last place of the largest result.
void expect_as_good_as_plain(const Floats& actual, const std::vector<double>& exact, const Floats& plain);
void expect_same_bytes(const Floats& a, const Floats& b, const std::string& what);

/// Calls formula(Real{}) for both. The plain one is rounded once to what the op gives.
#define HEDDLE_EXPECT_AS_GOOD(actual, formula, dtype) \
  expect_as_good_as_plain((actual), formula(double{}), rounded(formula(float{}), dtype))

}  // namespace heddle::test
