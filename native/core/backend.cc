#include "core/backend.h"

#include <cstring>
#include <new>

#include "core/compute_thread.h"

namespace heddle {
namespace {

constexpr std::align_val_t kAlign{Allocator::kAlignment};
constexpr size_t kMaxCached = size_t{256} << 20;

class HostMemory final : public MemorySource {
 public:
  void* take(size_t bytes) override { return ::operator new(bytes, kAlign, std::nothrow); }
  void give_back(void* block) override { ::operator delete(block, kAlign); }
};

}  // namespace

MemorySource& host_memory() {
  static HostMemory* const one = new HostMemory;
  return *one;
}

CpuBackend::CpuBackend() : Backend(Device{}, host_memory(), kMaxCached) {}

void CpuBackend::start() { ask_for_long_slices(); }

void CpuBackend::copy_in(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void CpuBackend::copy_out(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace heddle
