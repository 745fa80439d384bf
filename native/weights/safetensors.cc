#include "weights/safetensors.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "weights/file.h"
#include "weights/json.h"

namespace heddle {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxPrintedDims = 16;

struct DtypeBits {
  const char* name;
  uint64_t bits;
};

constexpr DtypeBits kDtypes[] = {
    {"BOOL", 8},        {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
    {"F8_E5M2", 8},     {"F8_E4M3", 8},     {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16}, {"F16", 16},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"BF16", 16},   {"I32", 32},    {"U32", 32}, {"F32", 32},
    {"C64", 64},        {"F64", 64},        {"I64", 64},    {"U64", 64},
};

template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(ErrorKind::kRange, "INVALID_SAFETENSORS", concat("[safetensors] ", parts...));
}

std::string tensor(const std::string& name) { return concat("tensor ", quote(name)); }

std::string format(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < std::min(shape.size(), kMaxPrintedDims); ++i) out += concat(i ? ", " : "", shape[i]);
  return out + (shape.size() > kMaxPrintedDims ? ", ...]" : "]");
}

uint64_t multiply(uint64_t a, uint64_t b, const SafetensorsEntry& entry) {
  if (b != 0 && a > std::numeric_limits<uint64_t>::max() / b) {
    fail(tensor(entry.name), " of dtype ", entry.dtype, " and shape ", format(entry.shape), " overflows 64 bits");
  }
  return a * b;
}

uint64_t count_bytes(const SafetensorsEntry& entry) {
  const auto* dtype = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const DtypeBits& known) { return entry.dtype == known.name; });
  if (dtype == std::end(kDtypes)) fail(tensor(entry.name), " has unknown dtype ", quote(entry.dtype));
  uint64_t bits = 1;
  for (const int64_t dim : entry.shape) bits = multiply(bits, static_cast<uint64_t>(dim), entry);
  bits = multiply(bits, dtype->bits, entry);
  if (bits % 8 != 0) {
    fail(tensor(entry.name), " of dtype ", entry.dtype, " and shape ", format(entry.shape), " ends inside a byte");
  }
  return bits / 8;
}

SafetensorsEntry read_entry(JsonReader& json, const std::string& name) {
  SafetensorsEntry entry{name, {}, {}, 0, 0};
  bool has_dtype = false, has_shape = false, has_offsets = false;
  json.object([&](const std::string& field) {
    if (field == "dtype") {
      entry.dtype = json.string();
      has_dtype = true;
    } else if (field == "shape") {
      json.array([&] { entry.shape.push_back(json.integer()); });
      has_shape = true;
    } else if (field == "data_offsets") {
      std::vector<uint64_t> offsets;
      json.array([&] { offsets.push_back(static_cast<uint64_t>(json.integer())); });
      if (offsets.size() != 2) fail(tensor(name), " must have 2 data_offsets but got ", offsets.size());
      entry.begin = offsets[0];
      entry.end = offsets[1];
      has_offsets = true;
    } else {
      json.skip();
    }
  });
  if (!has_dtype) fail(tensor(name), " has no dtype");
  if (!has_shape) fail(tensor(name), " has no shape");
  if (!has_offsets) fail(tensor(name), " has no data_offsets");
  return entry;
}

void read_header(const char* text, size_t size, SafetensorsHeader& header) {
  std::string where = "header";
  try {
    JsonReader json(text, size);
    json.object([&](const std::string& name) {
      where = name == "__metadata__" ? "__metadata__" : tensor(name);
      if (name != "__metadata__") {
        header.entries.push_back(read_entry(json, name));
      } else if (!json.null()) {
        json.object([&](const std::string& key) { header.metadata.emplace_back(key, json.string()); });
      }
      where = "header";
    });
    json.end();
  } catch (const JsonError& error) {
    fail(where, ": ", error.what());
  }
}

void check_layout(const std::vector<SafetensorsEntry>& entries, uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::string offsets = concat("data_offsets [", entry.begin, ", ", entry.end, "]");
    if (entry.end < entry.begin) fail(tensor(entry.name), " has ", offsets, " that end before they begin");
    if (entry.begin != covered) {
      fail(tensor(entry.name), " has ", offsets, " but must begin at ", covered, ", where the one before it ends");
    }
    const uint64_t bytes = count_bytes(entry);
    if (entry.end - entry.begin != bytes) {
      fail(tensor(entry.name), " of dtype ", entry.dtype, " and shape ", format(entry.shape), " takes ", bytes,
           " bytes but ", offsets, " hold ", entry.end - entry.begin);
    }
    covered = entry.end;
  }
  if (covered != data_bytes) fail("tensors cover ", covered, " bytes but the file has ", data_bytes, " bytes of data");
}

void check_header_size(uint64_t header_bytes, uint64_t file_bytes) {
  if (header_bytes > kMaxHeaderBytes) {
    fail("header has ", header_bytes, " bytes but may have at most ", kMaxHeaderBytes);
  }
  if (file_bytes < kLengthBytes || header_bytes > file_bytes - kLengthBytes) {
    fail("header has ", header_bytes, " bytes after the first ", kLengthBytes, " but the file has ", file_bytes);
  }
}

SafetensorsHeader read_file(const File& file) {
  const uint64_t file_bytes = file.size();
  if (file_bytes < kLengthBytes) fail("file has ", file_bytes, " bytes but must have at least ", kLengthBytes);
  unsigned char length[kLengthBytes];
  file.read(length, kLengthBytes, 0);
  uint64_t header_bytes = 0;
  for (uint64_t i = 0; i < kLengthBytes; ++i) header_bytes |= static_cast<uint64_t>(length[i]) << 8 * i;
  check_header_size(header_bytes, file_bytes);  // before the buffer is sized by it
  std::string json(header_bytes, '\0');
  file.read(json.data(), json.size(), kLengthBytes);
  return parse_safetensors_header(json.data(), json.size(), file_bytes);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const char* json, size_t json_size, uint64_t file_size) {
  check_header_size(json_size, file_size);
  if (json_size == 0 || json[0] != '{') fail("header must begin with '{'");
  SafetensorsHeader header{{}, {}, kLengthBytes + json_size};
  read_header(json, json_size, header);
  // Stable, so that empty tensors at one offset keep the order of the text.
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  check_layout(header.entries, file_size - header.data_start);
  return header;
}

SafetensorsHeader read_safetensors_header(const std::string& path) {
  const File file(path);
  try {
    return read_file(file);
  } catch (const Error& error) {
    if (error.code() != "INVALID_SAFETENSORS") throw;
    throw Error(error.kind(), error.code(), concat(error.what(), " (in ", path, ")"));
  }
}

}  // namespace heddle
