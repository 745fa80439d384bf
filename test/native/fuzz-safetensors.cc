// clang++ -std=c++17 -g -fsanitize=fuzzer,address,undefined -Inative test/native/fuzz-safetensors.cc
//   native/weights/{file,json,safetensors}.cc native/core/error.cc
#include <cstdlib>

#include "core/error.h"
#include "weights/safetensors.h"

/// The input is a whole file behind its 8 bytes of length, which would only keep the fuzzer from the JSON: the header
/// reaches to the last '}', what follows is data. Whatever is accepted must tile the data section.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  size_t header_bytes = size;
  while (header_bytes > 0 && bytes[header_bytes - 1] != '}') --header_bytes;
  try {
    const auto header = heddle::parse_safetensors_header(reinterpret_cast<const char*>(bytes), header_bytes, 8 + size);
    uint64_t covered = 0;
    for (const auto& entry : header.entries) {
      if (entry.begin != covered || entry.end < entry.begin) std::abort();
      covered = entry.end;
    }
    if (header.data_start + covered != 8 + size) std::abort();
  } catch (const heddle::Error& error) {
    if (error.code() != "INVALID_SAFETENSORS") std::abort();
  }
  return 0;
}
