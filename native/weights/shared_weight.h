#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "core/backend.h"

namespace heddle {

/// A loaded weight in the host's memory, which all threads of the process share that load the same one: as long as one
/// holds it, it is there. Nothing writes to it once it is loaded.
struct SharedWeight {
  SharedWeight(std::string key, void* data) : key(std::move(key)), data(data) {}
  ~SharedWeight();
  SharedWeight(const SharedWeight&) = delete;
  SharedWeight& operator=(const SharedWeight&) = delete;

  const std::string key;
  void* const data;
  std::mutex mutex;  // held by who loads it
  bool loaded = false;
};

/// The weight of a key, made if nobody holds it. Null where there is no memory.
std::shared_ptr<SharedWeight> shared_weight(const std::string& key, size_t bytes);

}  // namespace heddle
