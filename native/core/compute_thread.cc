#include "core/compute_thread.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace heddle {

void ask_for_long_slices() {
#if defined(__linux__) && defined(SYS_sched_setattr)
  // sched_setattr(2), first version; its runtime is an ordinary thread's slice since Linux 6.12 (EEVDF).
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  attributes.size = sizeof attributes;
  attributes.runtime_ns = 20'000'000;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
#endif
}

}  // namespace heddle
