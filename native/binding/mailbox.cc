#include "binding/mailbox.h"

#include "binding/isolate.h"

namespace heddle {

Mailbox::Mailbox(Napi::Env env) : env_(env) {
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "heddle"), 0, 1, nullptr, nullptr,
                                      this, &Mailbox::deliver_all, &function_);
  if (status != napi_ok) throw Napi::Error::New(env, "heddle: cannot create a thread-safe function");
  napi_unref_threadsafe_function(env_, function_);
}

void Mailbox::post(std::unique_ptr<Completion> completion) {
  bool wake = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    wake = completions_.empty();
    completions_.push_back(std::move(completion));
  }
  if (wake) napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void Mailbox::hold() {
  if (awaited_++ == 0) napi_ref_threadsafe_function(env_, function_);
}

void Mailbox::let_go() {
  if (--awaited_ == 0) napi_unref_threadsafe_function(env_, function_);
}

void Mailbox::deliver_all(napi_env env, napi_value, void* context, void*) {
  if (!env) return;  // the environment is being torn down
  Mailbox& mailbox = *static_cast<Mailbox*>(context);
  std::vector<std::unique_ptr<Completion>> completions;
  {
    std::lock_guard<std::mutex> lock(mailbox.mutex_);
    completions.swap(mailbox.completions_);
  }
  Isolate& isolate = Isolate::of(env);
  isolate.in_burst = false;
  for (const auto& completion : completions) {
    const Napi::HandleScope scope(env);
    try {
      completion->deliver(env);
    } catch (const Napi::Error& error) {  // thrown by a callback: an uncaught exception, as from any event handler
      napi_fatal_exception(env, error.Value());
    }
  }
  isolate.report_memory();
}

}  // namespace heddle
