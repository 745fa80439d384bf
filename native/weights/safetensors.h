#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace heddle {

/// One tensor of a safetensors file. Its bytes are [begin, end) of the data section, row-major, little-endian.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as written in the file: "F32", "BF16", ...
  std::vector<int64_t> shape;
  uint64_t begin, end;
};

/// Entries are in the order of their bytes, which need not be the order of the header's text.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::vector<std::pair<std::string, std::string>> metadata;
  uint64_t data_start;  // of the data section in the file
};

/// Reads the JSON header of a safetensors file of `file_size` bytes and holds it to every rule of the format
/// (github.com/huggingface/safetensors, "Format"), as the Rust crate 0.8 does:
///
/// - file: 8 bytes N, little-endian; N <= 100'000'000 bytes of JSON that begin with `{`, padded with whitespace; data
/// - each entry: dtype of a known name, shape of non-negative integers, data_offsets [begin, end]; others are ignored
/// - product of the shape times bits of the dtype: whole bytes, without overflow, equal to end - begin
/// - offsets cover the data section from 0 to its end without hole or overlap
/// - `__metadata__`, if there, maps strings to strings (or is null)
///
/// Where the crate is laxer than its documentation, this follows the documentation: no key twice, nothing before
/// the `{`, an entry is an object. Sizes of a shape are below 2^63. So what is read here, the crate reads too.
///
/// @throws Error kRange, code INVALID_SAFETENSORS, naming the tensor and the values.
SafetensorsHeader parse_safetensors_header(const char* json, size_t json_size, uint64_t file_size);

/// Reads the header of the file at `path` with bounded reads and without mapping it.
///
/// @throws Error as parse_safetensors_header, also naming the file; kRuntime, code FILE_NOT_FOUND or READ_FAILED.
SafetensorsHeader read_safetensors_header(const std::string& path);

}  // namespace heddle
