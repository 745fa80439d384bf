#pragma once

#include <napi.h>

#include <chrono>
#include <memory>
#include <unordered_map>

#include "binding/mailbox.h"
#include "core/runtime.h"
#include "weights/file.h"

namespace heddle {

/// A file whose weights go to one device.
struct OpenFile {
  File file;
  Stream& stream;
};

/// What one JavaScript isolate (the main thread, or a worker) holds of heddle.
struct Isolate {
  explicit Isolate(Napi::Env environment);
  ~Isolate();

  static Isolate& of(Napi::Env env) { return *env.GetInstanceData<Isolate>(); }

  /// A JavaScript error for a native one.
  Napi::Error to_javascript(const Error& error) const;
  /// Lets V8 know how much memory its tensors hold. Done when the event loop turns, which is also when finalizers can
  /// run: told of what comes and goes within a turn, V8 would collect garbage for nothing, milliseconds at a time.
  void report_memory();

  Napi::Env env;
  Mailbox mailbox;
  std::unique_ptr<Runtime> runtime;  // null once the environment is being torn down
  HandleTable<OpenFile> files;
  std::unordered_map<Runtime::Handle, Napi::FunctionReference> channel_callbacks;
  Napi::FunctionReference queue_full_error;  // the class that JavaScript knows

  /// Since when reads have been answered without a turn of the event loop.
  std::chrono::steady_clock::time_point burst_began{};
  bool in_burst = false;
  int64_t unreported_bytes = 0;
};

}  // namespace heddle
