#include <iterator>

#include "binding/call.h"
#include "weights/load_weight.h"
#include "weights/safetensors.h"

namespace heddle {
namespace {

/// (path) → { dataStart, metadata, entries: [{ name, dtype, shape, begin, end }] }
Napi::Value read_header(const Call& c) {
  const SafetensorsHeader header = read_safetensors_header(c.text(0));
  const auto number = [&](auto value) { return Napi::Number::New(c.env(), static_cast<double>(value)); };
  auto entries = Napi::Array::New(c.env(), header.entries.size());
  uint32_t index = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    auto shape = Napi::Array::New(c.env(), entry.shape.size());
    for (uint32_t axis = 0; axis < entry.shape.size(); ++axis) shape.Set(axis, number(entry.shape[axis]));
    auto object = Napi::Object::New(c.env());
    object.Set("name", entry.name);
    object.Set("dtype", entry.dtype);
    object.Set("shape", shape);
    object.Set("begin", number(entry.begin));
    object.Set("end", number(entry.end));
    entries.Set(index++, object);
  }
  auto metadata = Napi::Object::New(c.env());
  for (const auto& [key, value] : header.metadata) metadata.Set(key, value);
  auto result = Napi::Object::New(c.env());
  result.Set("dataStart", number(header.data_start));
  result.Set("metadata", metadata);
  result.Set("entries", entries);
  return result;
}

/// (path, device that its weights are for)
Napi::Value open_file(const Call& c) {
  auto* const file = new OpenFile{File(c.text(0)), c.stream(1)};
  return Napi::Number::New(c.env(), static_cast<double>(c.isolate().files.open(file)));
}

Napi::Value close_file(const Call& c) {
  OpenFile* const file = c.isolate().files.close(c.integer(0));
  if (file) file->stream.push(Record::of(Delete<OpenFile>{file}, true));
  return c.undefined();
}

/// (file, offset, its dtype, shape in the file, transposed, packed, name, dtype)
Napi::Value load_weight(const Call& c) {
  const OpenFile* file = c.isolate().files.get(c.integer(0));
  if (!file) throw_type_error("[load_weight] the file was closed");
  const Shape shape = c.shape(3);
  const bool transposed = c.flag(4), packed = c.flag(5);
  if ((transposed || packed) && shape.rank() != 2) {
    throw_range_error("[load_weight] ", c.text(6), " must be a matrix but has shape ", shape);
  }
  if (is_quantized(c.dtype(7)) && !packed)
    throw_type_error("[load_weight] ", c.text(6), " must be packed to be quantized");
  const int64_t columns = shape.rank() == 0 ? 1 : shape[-1];
  const int64_t rows = columns == 0 ? 0 : shape.numel() / columns;
  const LoadWeight op{
      &file->file, static_cast<uint64_t>(c.number(1)), file_dtype_of(c.text(2), c.text(6)), transposed, rows, columns};
  if (packed) return c.publish(load_panels(c.runtime(), file->stream, op, c.dtype(7)));
  return c.publish(load_dense(c.runtime(), file->stream, op, transposed ? Shape{columns, rows} : shape, c.dtype(7)));
}

constexpr Export kWeights[] = {
    {"readSafetensorsHeader", "safetensors", read_header},
    {"openFile", "load_weight", open_file},
    {"closeFile", "load_weight", close_file},
    {"loadWeight", "load_weight", load_weight},
};

}  // namespace

void export_weights(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, kWeights, std::size(kWeights));
}

}  // namespace heddle
