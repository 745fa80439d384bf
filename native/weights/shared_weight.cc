#include "weights/shared_weight.h"

#include <unordered_map>

namespace heddle {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_map<std::string, std::weak_ptr<SharedWeight>> weights;
};

/// Never destroyed: threads may still hold weights when the process ends.
Registry& registry() {
  static Registry* const one = new Registry;
  return *one;
}

}  // namespace

SharedWeight::~SharedWeight() {
  host_memory().give_back(data);
  const std::lock_guard<std::mutex> lock(registry().mutex);
  const auto found = registry().weights.find(key);
  if (found != registry().weights.end() && found->second.expired()) registry().weights.erase(found);
}

std::shared_ptr<SharedWeight> shared_weight(const std::string& key, size_t bytes) {
  const std::lock_guard<std::mutex> lock(registry().mutex);
  std::weak_ptr<SharedWeight>& known = registry().weights[key];
  if (auto held = known.lock()) return held;
  void* const data = host_memory().take(bytes);
  if (!data) return nullptr;
  try {
    const auto fresh = std::make_shared<SharedWeight>(key, data);
    known = fresh;
    return fresh;
  } catch (...) {
    host_memory().give_back(data);
    throw;
  }
}

}  // namespace heddle
