#include "simt/harness.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>

#include "simt/simulator.h"

namespace heddle::test {

int num_multiprocessors = 1;
int compute_capability = 80;
bool stop_at_failure = false;

namespace {

constexpr uint32_t kSeeds[] = {1, 2, 3};
constexpr int kToldFailures = 5;  // of an op

using Clock = std::chrono::steady_clock;

struct Progress {
  const char* op = nullptr;
  std::string name;
  Clock::time_point began;
  int cases = 0;
  int failures = 0;  // messages of this op
  int failed = 0;    // cases of this op
  bool broken = false;
  int all_passed = 0;
  int all_failed = 0;
} progress;

void end_case() {
  if (progress.broken) ++progress.failed;
  progress.broken = false;
}

void end_op() {
  end_case();
  if (!progress.op) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - progress.began).count();
  std::printf("%-16s %4d cases, %d failed, %.1f s\n", progress.op, progress.cases, progress.failed, seconds);
  std::fflush(stdout);
  progress.all_passed += progress.cases - progress.failed;
  progress.all_failed += progress.failed;
}

std::vector<char> bytes_of(const Tensor* tensor) {
  const auto* data = static_cast<const char*>(tensor->storage->data);
  return {data, data + tensor->storage->bytes};
}

/// What a kernel that is wrong says before it ends its process.
std::string last_words(const simt::Extent& extent, const std::function<void()>& kernel) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    simt::set_name("kernel");
    simt::launch(extent, kernel);
    _exit(0);
  }
  close(ends[1]);
  std::string words;
  char buffer[512];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) words.append(buffer, count);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return words;
}

}  // namespace

void begin_op(const char* name) {
  end_op();
  progress.op = name;
  progress.began = Clock::now();
  progress.cases = progress.failures = progress.failed = 0;
}

void begin_case(const std::string& name) {
  end_case();
  progress.name = name;
  ++progress.cases;
}

void fail(const std::string& why) {
  progress.broken = true;
  if (++progress.failures <= kToldFailures) {
    std::printf("  %s, %s: %s\n", progress.op, progress.name.c_str(), why.c_str());
  }
  if (stop_at_failure) std::_Exit(1);
}

int finish() {
  end_op();
  std::printf("%d passed, %d failed\n", progress.all_passed, progress.all_failed);
  return progress.all_failed > 0;
}

Values::Memory::Memory(size_t bytes) : data(new char[bytes]) {
  std::memset(data.get(), 0xff, bytes);
  storage.bytes = bytes;
  storage.data = data.get();
}

Values::Values(size_t elements, DType dtype, const Shape& shape, const Shape& strides, int64_t offset)
    : memory_(std::make_shared<Memory>(elements * size_of(dtype))), tensor_(std::make_shared<Tensor>()) {
  tensor_->storage = &memory_->storage;
  tensor_->dtype = dtype;
  tensor_->shape = shape;
  tensor_->strides = strides;
  tensor_->offset = offset;
}

Values::Values(DType dtype, const Shape& shape)
    : Values(static_cast<size_t>(shape.numel()), dtype, shape, contiguous_strides(shape), 0) {}

Values Values::of(const Shape& shape, const Floats& values, DType dtype) {
  return of(shape, values, contiguous_strides(shape), 0, dtype);
}

Values Values::of(const Shape& shape, const Ints& values) {
  const Values out(DType::kInt32, shape);
  std::copy(values.begin(), values.end(), out->data<int32_t>());
  return out;
}

Values Values::of(const Shape& shape, const Floats& values, const Shape& strides, int64_t offset, DType dtype) {
  const auto place = [&](int64_t index) {
    int64_t at = 0;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      at += index % shape[axis] * strides[axis];
      index /= shape[axis];
    }
    return at;
  };
  int64_t last = -1;
  for (int64_t i = 0; i < shape.numel(); ++i) last = std::max(last, place(i));
  const Values out(static_cast<size_t>(offset + last + 1), dtype, shape, strides, offset);
  with_float_type(dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < shape.numel(); ++i) out->data<T>()[place(i)] = from_float<T>(values[i]);
  });
  return out;
}

Floats Values::floats() const {
  return with_float_type(tensor_->dtype, [&](auto type) {
    Floats out;
    const auto* data = tensor_->data<decltype(type)>();
    for (int64_t i = 0; i < tensor_->numel(); ++i) out.push_back(to_float(data[i]));
    return out;
  });
}

Ints Values::ints() const {
  const int32_t* data = tensor_->data<int32_t>();
  return {data, data + tensor_->numel()};
}

std::vector<char> Values::bytes() const { return bytes_of(tensor_.get()); }

unsigned long long run_schedules(const char* name, const Launch& launch, const std::vector<Tensor*>& writes) {
  std::vector<std::vector<char>> before, first;
  for (const Tensor* tensor : writes) before.push_back(bytes_of(tensor));
  unsigned long long failure = cuda::kNoFailure;
  for (const uint32_t seed : kSeeds) {
    for (size_t i = 0; i < writes.size(); ++i) {
      std::copy(before[i].begin(), before[i].end(), static_cast<char*>(writes[i]->storage->data));
    }
    std::deque<std::vector<char>> scratch;
    const auto allocate = [](void* owner, size_t bytes) -> void* {
      auto& blocks = *static_cast<std::deque<std::vector<char>>*>(owner);
      return blocks.emplace_back(bytes, static_cast<char>(0xff)).data();
    };
    const auto record = std::make_unique<unsigned long long>(cuda::kNoFailure);
    cuda::CudaContext context{nullptr, record.get(), allocate, &scratch, num_multiprocessors, compute_capability};
    simt::set_name(name);
    simt::set_seed(seed);
    if (launch(context) != cuda::kSuccess) fail("the launch was refused");
    std::vector<std::vector<char>> after;
    for (const Tensor* tensor : writes) after.push_back(bytes_of(tensor));
    if (seed == kSeeds[0]) {
      first = after;
      failure = *record;
    }
    if (first != after || failure != *record) fail(concat("other bytes under the schedule of seed ", seed));
  }
  return failure;
}

void expect_stop(const char* name, int threads, const std::vector<std::string>& words,
                 const std::function<void()>& kernel, size_t shared_bytes) {
  begin_case(name);
  const std::string said = last_words({1, 1, threads, shared_bytes}, kernel);
  for (const std::string& word : words) {
    expect(said.find(word) != std::string::npos, concat("does not say \"", word, "\" but \"", said, "\""));
  }
}

void expect_failure(unsigned long long record, Fault fault, int64_t index, int32_t value) {
  if (record == cuda::kNoFailure) return fail("must fail");
  const cuda::Failure failure = cuda::failure_of(record);
  if (failure.fault != fault || failure.index != index || failure.value != value) {
    fail(concat("fails otherwise: fault ", static_cast<int>(failure.fault), " at ", failure.index, " with ",
                failure.value));
  }
}

Floats rounded(Floats values, DType dtype) {
  with_float_type(dtype, [&](auto type) {
    for (float& x : values) x = to_float(from_float<decltype(type)>(x));
  });
  return values;
}

Floats normals(int64_t count, uint32_t seed, DType dtype) {
  std::mt19937 bits(seed);
  Floats out(static_cast<size_t>(count));
  for (float& x : out) {
    double sum = -6;  // of twelve uniform numbers: near enough
    for (int i = 0; i < 12; ++i) sum += bits() * 0x1p-32;
    x = static_cast<float>(sum);
  }
  return rounded(std::move(out), dtype);
}

void expect_as_good_as_plain(const Floats& actual, const std::vector<double>& exact, const Floats& plain) {
  if (actual.size() != exact.size() || plain.size() != exact.size()) return fail("another number of elements");
  double largest = 0, error = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    if (!std::isfinite(exact[i])) continue;
    largest = std::max(largest, std::fabs(exact[i]));
    if (std::isfinite(plain[i])) error = std::max(error, std::fabs(exact[i] - static_cast<double>(plain[i])));
  }
  const double allowed = 2 * error + largest * 0x1p-22 + 0x1p-126;
  for (size_t i = 0; i < exact.size(); ++i) {
    if (std::isnan(exact[i]) ? std::isnan(actual[i]) : static_cast<double>(actual[i]) == exact[i]) continue;
    if (std::fabs(static_cast<double>(actual[i]) - exact[i]) <= allowed) continue;
    return fail(
        concat("element ", i, " of ", exact.size(), " must be ", exact[i], " ± ", allowed, " but is ", actual[i]));
  }
}

void expect_same_bytes(const Floats& a, const Floats& b, const std::string& what) {
  expect(a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0,
         "other bytes: " + what);
}

}  // namespace heddle::test
