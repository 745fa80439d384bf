#pragma once

#include <napi.h>

#include "binding/isolate.h"

namespace heddle {

/// A call from lib/native.ts, which has checked the kinds of its arguments: tensors come as handles (0: absent),
/// numbers and booleans as themselves.
class Call {
 public:
  Call(const Napi::CallbackInfo& info, const char* function)
      : info_(info), function_(function), isolate_(Isolate::of(info.Env())) {}

  Napi::Env env() const { return info_.Env(); }
  Isolate& isolate() const { return isolate_; }
  Runtime& runtime() const { return *isolate_.runtime; }
  const char* function() const { return function_; }

  Napi::Value value(size_t index) const { return info_[index]; }
  int64_t integer(size_t index) const { return info_[index].As<Napi::Number>().Int64Value(); }
  double number(size_t index) const { return info_[index].As<Napi::Number>().DoubleValue(); }
  float real(size_t index) const { return info_[index].As<Napi::Number>().FloatValue(); }
  bool flag(size_t index) const { return info_[index].As<Napi::Boolean>().Value(); }
  std::string text(size_t index) const { return info_[index].As<Napi::String>().Utf8Value(); }
  Shape shape(size_t index) const;
  /// By its name.
  DType dtype(size_t index) const;
  /// -1: the CPU; n: CUDA device n.
  Device device(size_t index) const {
    const int64_t number = integer(index);
    return number < 0 ? Device{} : Device{DeviceKind::kCuda, static_cast<int>(number)};
  }
  /// Of a device that an argument names.
  Stream& stream(size_t index) const { return runtime().stream(device(index)); }

  /// Throws TypeError if the tensor was disposed.
  Tensor* tensor(size_t index, const char* argument) const {
    Tensor* const found = runtime().find(integer(index));
    if (!found) throw_type_error("[", function_, "] ", argument, " is a disposed tensor");
    return found;
  }
  /// Null where absent.
  Tensor* optional_tensor(size_t index, const char* argument) const {
    return integer(index) == 0 ? nullptr : tensor(index, argument);
  }

  Napi::Value publish(Tensor* tensor) const {
    return Napi::Number::New(env(), static_cast<double>(runtime().publish(tensor)));
  }
  Napi::Value undefined() const { return env().Undefined(); }

 private:
  const Napi::CallbackInfo& info_;
  const char* function_;
  Isolate& isolate_;
};

/// One line of the table of functions that the addon exports.
struct Export {
  const char* name;      // in lib/native.ts
  const char* function;  // in messages
  Napi::Value (*run)(const Call& call);
};

void export_functions(Napi::Env env, Napi::Object exports, const Export* table, size_t count);

void export_tensors(Napi::Env env, Napi::Object exports);
void export_ops(Napi::Env env, Napi::Object exports);
void export_programs(Napi::Env env, Napi::Object exports);
void export_weights(Napi::Env env, Napi::Object exports);
void export_devices(Napi::Env env, Napi::Object exports);

}  // namespace heddle
