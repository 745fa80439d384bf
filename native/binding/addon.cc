#include <system_error>

#include "binding/call.h"

namespace heddle {
namespace {

/// Runs an export: native errors become JavaScript's, and what the call made but did not publish goes.
Napi::Value invoke(const Napi::CallbackInfo& info) {
  const Export& target = *static_cast<const Export*>(info.Data());
  Isolate& isolate = Isolate::of(info.Env());
  if (!isolate.runtime) return info.Env().Undefined();
  try {
    const Napi::Value result = target.run(Call(info, target.function));
    isolate.runtime->settle();
    return result;
  } catch (const Error& error) {
    isolate.runtime->settle();
    throw isolate.to_javascript(error);
  } catch (const std::bad_alloc&) {
    isolate.runtime->settle();
    throw isolate.to_javascript(
        Error(ErrorKind::kRuntime, "OUT_OF_MEMORY", concat("[", target.function, "] out of memory")));
  } catch (const std::system_error& error) {  // a device's stream is opened at its first use
    isolate.runtime->settle();
    throw isolate.to_javascript(
        Error(ErrorKind::kRuntime, "", concat("[", target.function, "] cannot start a thread: ", error.what())));
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  try {
    cpu_instruction_set();  // a wrong HEDDLE_CPU or HEDDLE_NUM_THREADS is told now
    ThreadPool::instance();
    env.SetInstanceData(new Isolate(env));
  } catch (const Error& error) {
    throw Napi::RangeError::New(env, error.what());
  } catch (const std::system_error& error) {
    throw Napi::Error::New(env, concat("[heddle] cannot start a thread: ", error.what()));
  }
  export_tensors(env, exports);
  export_ops(env, exports);
  export_programs(env, exports);
  export_weights(env, exports);
  export_devices(env, exports);
  return exports;
}

}  // namespace

Shape Call::shape(size_t index) const {
  const auto values = info_[index].As<Napi::Array>();
  if (values.Length() > static_cast<uint32_t>(kMaxRank)) {
    throw_range_error("[", function_, "] a tensor has at most ", kMaxRank, " axes but shape has ", values.Length());
  }
  Shape shape;
  for (uint32_t i = 0; i < values.Length(); ++i) {
    shape.push_back(values.Get(i).As<Napi::Number>().Int64Value());
  }
  check_size(shape);
  return shape;
}

DType Call::dtype(size_t index) const {
  const std::string name = text(index);
  for (const DType dtype :
       {DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kInt32, DType::kInt8, DType::kInt4}) {
    if (name == name_of(dtype)) return dtype;
  }
  return DType::kBool;
}

void export_functions(Napi::Env env, Napi::Object exports, const Export* table, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    exports.Set(table[i].name, Napi::Function::New(env, invoke, table[i].name, const_cast<Export*>(&table[i])));
  }
}

NODE_API_MODULE(heddle, init)

}  // namespace heddle
