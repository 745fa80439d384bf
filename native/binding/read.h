#pragma once

#include "binding/isolate.h"

namespace heddle {

/// The typed array that holds a dtype's elements in JavaScript.
struct ArrayType {
  napi_typedarray_type type;
  const char* name;
};
ArrayType array_type(DType dtype);

/// The value of a tensor at this point of its stream, in a fresh array.
Napi::Value read(Isolate& isolate, const Tensor* tensor);
/// The same as the storage has it, in a fresh Uint8Array: dense, row-major, halves not widened.
Napi::Value read_bytes(Isolate& isolate, const Tensor* tensor);
/// The value into an array of JavaScript's; resolves to it.
Napi::Value read_into(Isolate& isolate, const Tensor* tensor, Napi::TypedArray into);
/// Resolves when the tensor has its value; rejects with the reason why it has none.
Napi::Value ready(Isolate& isolate, const Tensor* tensor);
/// A promise a device: resolves when all work queued there so far is done; rejects with the oldest failure that nobody
/// has read.
Napi::Value synchronize(Isolate& isolate);
/// Resolves when the CUDA library was opened, or was not.
Napi::Value find_devices(Isolate& isolate);

}  // namespace heddle
