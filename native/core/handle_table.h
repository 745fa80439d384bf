#pragma once

#include <cstdint>
#include <vector>

namespace heddle {

/// Gives objects to JavaScript as numbers: slot + generation, so that a stale number is noticed, never followed.
/// Cheaper than a wrapped object, and nothing of it is left to finalizers at exit.
template <typename T>
class HandleTable {
 public:
  /// Exactly representable in a double; never 0.
  using Handle = int64_t;

  Handle open(T* object) {
    int64_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<int64_t>(slots_.size());
      slots_.push_back({nullptr, 1});
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot].object = object;
    return (slots_[slot].generation << kSlotBits) | slot;
  }

  /// Null for a handle that was closed.
  T* get(Handle handle) const {
    const int64_t slot = handle & ((int64_t{1} << kSlotBits) - 1);
    if (handle <= 0 || slot >= static_cast<int64_t>(slots_.size())) return nullptr;
    return slots_[slot].generation == handle >> kSlotBits ? slots_[slot].object : nullptr;
  }

  /// The object, now unnamed; null for a handle that was closed before.
  T* close(Handle handle) {
    T* const object = get(handle);
    if (!object) return nullptr;
    const int64_t slot = handle & ((int64_t{1} << kSlotBits) - 1);
    slots_[slot].object = nullptr;
    slots_[slot].generation = (slots_[slot].generation + 1) & kGenerationMask;
    if (slots_[slot].generation == 0) slots_[slot].generation = 1;
    free_.push_back(slot);
    return object;
  }

  template <typename Visit>
  void each(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.object) visit(slot.object);
    }
  }

 private:
  static constexpr int kSlotBits = 26;
  static constexpr int64_t kGenerationMask = (int64_t{1} << 26) - 1;  // 52 bits in all
  struct Slot {
    T* object;
    int64_t generation;
  };
  std::vector<Slot> slots_;
  std::vector<int64_t> free_;
};

}  // namespace heddle
