#include "binding/isolate.h"

#include <cstdlib>

namespace heddle {
namespace {

/// V8 is told in steps of this size: telling costs more than making a tensor.
constexpr int64_t kReportBytes = 1 << 20;

/// Before the environment goes, and before the mailbox does: hooks run in reverse order.
void stop(void* isolate) { static_cast<Isolate*>(isolate)->runtime.reset(); }

}  // namespace

Isolate::Isolate(Napi::Env environment) : env(environment), mailbox(env), runtime(std::make_unique<Runtime>()) {
  napi_add_env_cleanup_hook(env, stop, this);
}

Isolate::~Isolate() {
  files.each([](OpenFile* file) { delete file; });
}

Napi::Error Isolate::to_javascript(const Error& error) const {
  Napi::Error result;
  if (error.code() == "QUEUE_FULL") {
    result = Napi::Error(env, queue_full_error.New({Napi::String::New(env, error.what())}));
  } else if (error.kind() == ErrorKind::kType) {
    result = Napi::TypeError::New(env, error.what());
  } else if (error.kind() == ErrorKind::kRange) {
    result = Napi::RangeError::New(env, error.what());
  } else {
    result = Napi::Error::New(env, error.what());
  }
  if (!error.code().empty()) result.Set("code", Napi::String::New(env, error.code()));
  return result;
}

void Isolate::report_memory() {
  if (!runtime) return;
  unreported_bytes += runtime->take_live_bytes_change();
  if (std::abs(unreported_bytes) < kReportBytes) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, unreported_bytes);
  unreported_bytes = 0;
}

}  // namespace heddle
