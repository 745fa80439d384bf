#include "cuda/backend.h"

#include <algorithm>
#include <cstring>

#include "core/dispatch.h"
#include "cuda/devices.h"

namespace heddle {
namespace cuda {
namespace {

constexpr size_t kHalf = size_t{4} << 20;  // of the memory that is staged
constexpr size_t kOutBytes = size_t{4} << 20;
constexpr int kOutOfMemoryStatus = 2;  // cudaErrorMemoryAllocation

}  // namespace

CudaBackend::CudaBackend(int index, size_t memory_bytes)
    : Backend(Device{DeviceKind::kCuda, index}, *this, memory_bytes / 8),
      library_(library()),
      name_(name_of(device())) {}

CudaBackend::~CudaBackend() = default;

void CudaBackend::start() {
  try {
    check(library_.use_device(device().index), "device");
    DeviceInfo info{};
    check(library_.describe_device(device().index, &info), "device");
    multiprocessors_ = info.multiprocessors;
    compute_capability_ = 10 * info.major + info.minor;
    check(library_.create_stream(&stream_), "device");
    void* memory = take(kOutcomeBytes);
    if (!memory) throw Error(ErrorKind::kRuntime, "OUT_OF_MEMORY", "no memory is left on it");
    failures_ = static_cast<unsigned long long*>(memory);
    check(library_.allocate_pinned(&memory, kOutcomeBytes), "device");
    outcomes_ = static_cast<unsigned long long*>(memory);
    check(library_.allocate_pinned(&memory, 2 * kHalf), "device");
    in_.memory = static_cast<char*>(memory);
    check(library_.allocate_pinned(&memory, kOutBytes), "device");
    out_ = static_cast<char*>(memory);
    for (void*& event : in_.passed) check(library_.create_event(&event), "device");
    check(library_.fill(failures_, 0xff, kOutcomeBytes, stream_), "device");
    std::fill_n(outcomes_, Stream::kMaxLaunched, kNoFailure);
    graphs_.start();
  } catch (const Error& error) {
    lost_ = concat("cannot be used: ", error.what());
  }
}

void CudaBackend::finish() {
  if (stream_) library_.synchronize(stream_);
  graphs_.finish();
  allocator().trim();
  if (failures_) give_back(failures_);
  for (void* memory : {static_cast<void*>(outcomes_), static_cast<void*>(in_.memory), static_cast<void*>(out_)}) {
    if (memory) library_.free_pinned(memory);
  }
  for (void* event : in_.passed) {
    if (event) library_.destroy_event(event);
  }
  if (stream_) library_.destroy_stream(stream_);
}

void CudaBackend::check_usable() const {
  if (lost_.empty()) return;
  throw Error(ErrorKind::kRuntime, "DEVICE_LOST", concat("[", name_, "] ", lost_));
}

void CudaBackend::check(int status, const char* function) {
  if (status == 0) return;
  const std::string reason = library_.describe_status(status);
  if (status == kOutOfMemoryStatus) {
    throw Error(ErrorKind::kRuntime, "OUT_OF_MEMORY", concat("[", function, "] no memory is left on ", name_));
  }
  // A failure that ends the device is told by every call after it, but none may wait while a graph is captured.
  if (captures_) throw Error(ErrorKind::kRuntime, "CUDA_ERROR", concat("[", function, "] ", reason));
  if (!stream_ || library_.synchronize(stream_) != 0) {
    lost_ = concat("was lost: ", reason);
    check_usable();
  }
  throw Error(ErrorKind::kRuntime, "CUDA_ERROR", concat("[", function, "] ", name_, " refuses: ", reason));
}

void* CudaBackend::take(size_t bytes) {
  void* memory = nullptr;
  // Zero bytes have an address too.
  const int status = lost_.empty() ? library_.allocate(&memory, std::max<size_t>(bytes, 1), stream_) : 1;
  return status == 0 ? memory : nullptr;
}

void CudaBackend::give_back(void* block) { library_.free(block, stream_); }

void* CudaBackend::allocate_scratch(void* owner, size_t bytes) {
  auto& self = *static_cast<CudaBackend*>(owner);
  try {
    self.scratch_.emplace_back(nullptr);  // its place first: what is taken must not be lost
    return self.scratch_.back() = self.memory().allocate(bytes);
  } catch (const std::exception&) {
    return nullptr;  // the kernel's launch says so
  }
}

/// What is launched next on the stream comes after the op that used it.
void CudaBackend::free_scratch() {
  for (void* block : scratch_) memory().free(block);
  scratch_.clear();
}

char* CudaBackend::stage(size_t bytes) {
  if (in_.used + bytes > kHalf) {
    check(library_.record(in_.passed[in_.half], stream_), "tensor");
    in_.half = 1 - in_.half;
    in_.used = 0;
    check(library_.wait(in_.passed[in_.half]), "tensor");
  }
  char* const at = in_.memory + in_.half * kHalf + in_.used;
  in_.used += (bytes + Allocator::kAlignment - 1) / Allocator::kAlignment * Allocator::kAlignment;
  return at;
}

void CudaBackend::copy_in(void* to, const void* from, size_t bytes) {
  check_usable();
  for (size_t done = 0; done < bytes;) {
    const size_t count = std::min(bytes - done, kHalf);
    char* const staged = stage(count);
    std::memcpy(staged, static_cast<const char*>(from) + done, count);
    check(library_.copy(static_cast<char*>(to) + done, staged, count, stream_), "tensor");
    done += count;
  }
}

void CudaBackend::copy_out(void* to, const void* from, size_t bytes) {
  check_usable();
  for (size_t done = 0; done < bytes;) {
    if (out_used_ == kOutBytes) finish_readings();
    const size_t count = std::min(bytes - done, kOutBytes - out_used_);
    char* const staged = out_ + out_used_;
    check(library_.copy(staged, static_cast<const char*>(from) + done, count, stream_), "data");
    readings_.push_back({static_cast<char*>(to) + done, staged, count});
    out_used_ += count;
    done += count;
  }
}

void CudaBackend::finish_readings() {
  check(library_.synchronize(stream_), "data");
  for (const Reading& reading : readings_) std::memcpy(reading.to, reading.from, reading.bytes);
  readings_.clear();
  out_used_ = 0;
}

void CudaBackend::wait() {
  check_usable();
  if (launched_ > 0) check(library_.copy(outcomes_, failures_, launched_ * sizeof *outcomes_, stream_), "sync");
  finish_readings();
}

void CudaBackend::forget_outcomes() {
  const auto failed = [](unsigned long long outcome) { return outcome != kNoFailure; };
  if (lost_.empty() && std::any_of(outcomes_, outcomes_ + launched_, failed)) {
    library_.fill(failures_, 0xff, kOutcomeBytes, stream_);
    std::fill_n(outcomes_, launched_, kNoFailure);
  }
  launched_ = 0;
}

namespace {

template <typename Op>
[[noreturn]] void fail(const Op&, const Failure& failure) {
  throw Error(ErrorKind::kRuntime, "CUDA_ERROR",
              concat("[", Op::kName, "] failed with fault ", static_cast<int>(failure.fault)));
}
[[noreturn]] void fail(const Embedding& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const CrossEntropy& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const GatherRows& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const Rotate& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const ScatterRows& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const TensorScatter& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const AdvanceLengths& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const Sample& op, const Failure& failure) { op.fail(failure.index); }
[[noreturn]] void fail(const AppendTokens& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const BeamStep& op, const Failure& failure) { op.fail(failure.index); }
[[noreturn]] void fail(const ReorderRows& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const ReorderCache& op, const Failure& failure) {
  op.fail(failure.fault, failure.index, failure.value);
}
[[noreturn]] void fail(const TokenReport& op, const Failure& failure) { op.fail(failure.index, failure.value); }
[[noreturn]] void fail(const ProcessLogits& op, const Failure& failure) {
  op.fail(failure.fault, failure.index, failure.value);
}
[[noreturn]] void fail(const AppendKV& op, const Failure& failure) {
  fail_values(AppendKV::kName, failure.fault, failure.index, failure.value, op.k->shape[0] * op.k->shape[1], op.cache);
}
[[noreturn]] void fail(const ScoreInputs& inputs, const Failure& failure) {
  fail_values(Attention::kName, failure.fault, failure.index, failure.value, inputs.q->shape[0] * inputs.q->shape[1],
              inputs.cache);
}
[[noreturn]] void fail(const Attention& op, const Failure& failure) { fail(op.scores, failure); }
[[noreturn]] void fail(const AttentionScores& op, const Failure& failure) { fail(op.scores, failure); }

}  // namespace
}  // namespace cuda

#define HEDDLE_CUDA_OP(Op)                                                         \
  template <>                                                                      \
  void cuda_launch<Op>(Backend & backend, const Op& op) {                          \
    static_cast<cuda::CudaBackend&>(backend).launch(op, cuda::library().run_##Op); \
  }                                                                                \
  template <>                                                                      \
  void fail_late<Op>(const Op& op, uint64_t outcome) {                             \
    cuda::fail(op, cuda::failure_of(outcome));                                     \
  }
HEDDLE_OPS(HEDDLE_CUDA_OP)
#undef HEDDLE_CUDA_OP

std::unique_ptr<Backend> open_backend(Device device) {
  if (device.kind == DeviceKind::kCpu) return std::make_unique<CpuBackend>();
  const CudaDevices& found = cuda_devices();
  const auto fail = [&](const auto&... why) {
    throw_range_error("[device] ", name_of(device), " cannot be used: ", why...);
  };
  const size_t index = static_cast<size_t>(device.index);
  if (!found.reason.empty()) fail(found.reason);
  if (index >= found.entries.size()) fail("there are ", found.entries.size());
  if (!found.entries[index].reason.empty()) fail(found.entries[index].reason);
  return std::make_unique<cuda::CudaBackend>(device.index, found.entries[index].memory_bytes);
}

}  // namespace heddle
