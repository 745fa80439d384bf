#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

namespace heddle {

/// Something that a stream has finished and JavaScript is to hear of.
class Completion {
 public:
  virtual ~Completion() = default;
  /// On the JavaScript thread, within a handle scope.
  virtual void deliver(Napi::Env env) = 0;
};

/// The way from native threads to the event loop: one ThreadSafeFunction for all completions of an isolate.
/// It keeps the process alive only while something is awaited.
class Mailbox {
 public:
  explicit Mailbox(Napi::Env env);

  /// From any thread.
  void post(std::unique_ptr<Completion> completion);

  // ---- JavaScript thread: something is awaited, no longer awaited
  void hold();
  void let_go();

 private:
  static void deliver_all(napi_env env, napi_value, void* context, void*);

  Napi::Env env_;
  napi_threadsafe_function function_ = nullptr;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Completion>> completions_;
  int awaited_ = 0;
};

}  // namespace heddle
