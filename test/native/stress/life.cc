#include "stress/life.h"

#include <atomic>
#include <cstring>
#include <thread>

#include "ops/op_list.h"
#include "ops/view.h"

namespace heddle::stress {
namespace {

/// Command: what was queued before has run.
struct Signal {
  std::atomic<bool>* done;
  void run(Stream&) const { done->store(true, std::memory_order_release); }
};

/// Command: copies a dense tensor out; nothing if it has no value.
struct Look {
  const Tensor* tensor;
  std::byte* into;
  bool* found;
  void run(Stream& stream) const {
    const Storage& storage = *tensor->storage;
    *found = !stream.error_of(storage) && storage.data;
    const auto* from = static_cast<const std::byte*>(storage.data);
    const size_t size = size_of(tensor->dtype);
    if (*found) stream.copy_out(into, from + tensor->offset * size, tensor->numel() * size);
  }
};

}  // namespace

Tensor* Life::floats(const Shape& shape, DType dtype) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& value : values) value = static_cast<float>(pick(1000)) / 500.0f - 1.0f;
  return cast(runtime, {runtime.make_filled(runtime.cpu(), DType::kFloat32, shape, values.data())}, dtype);
}

Tensor* Life::ints(const Shape& shape, int limit) {
  std::vector<int32_t> values(static_cast<size_t>(shape.numel()));
  for (int32_t& value : values) value = pick(limit);
  return runtime.make_filled(runtime.cpu(), DType::kInt32, shape, values.data());
}

Tensor* Life::ints(const std::vector<int32_t>& values) {
  return runtime.make_filled(runtime.cpu(), DType::kInt32, Shape{static_cast<int64_t>(values.size())}, values.data());
}

Tensor* Life::bools(const Shape& shape) {
  std::vector<uint8_t> values(static_cast<size_t>(shape.numel()));
  for (uint8_t& value : values) value = static_cast<uint8_t>(pick(2));
  return runtime.make_filled(runtime.cpu(), DType::kBool, shape, values.data());
}

Tensor* Life::heads(const Shape& shape, DType dtype) {
  if (chance()) return floats(shape, dtype);
  return transpose(runtime, floats(Shape{shape[0], shape[2], shape[1], shape[3]}, dtype), 1, 2);
}

void Life::drain() {
  std::atomic<bool> done{false};
  runtime.cpu().push(Record::of(Signal{&done}, true));
  while (!done.load(std::memory_order_acquire)) std::this_thread::yield();
}

std::vector<Value> Life::values(const std::vector<const Tensor*>& tensors) {
  struct Seen {
    std::vector<std::byte> bytes;
    bool found = false;
  };
  std::vector<Seen> seen(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor* const tensor = dense(runtime, tensors[i]);
    seen[i].bytes.resize(static_cast<size_t>(tensor->numel()) * size_of(tensor->dtype));
    runtime.cpu().push(Record::of(Look{tensor, seen[i].bytes.data(), &seen[i].found}, true));
  }
  drain();
  std::vector<Value> values;
  for (Seen& one : seen) values.push_back(one.found ? Value(std::move(one.bytes)) : std::nullopt);
  return values;
}

}  // namespace heddle::stress
