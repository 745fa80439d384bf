#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle {

/// A regular file that is read at given offsets. Not mapped: a mapped file that shrinks ends the process.
///
/// @throws Error kRuntime, code FILE_NOT_FOUND or READ_FAILED, naming the file.
class File {
 public:
  explicit File(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  uint64_t size() const;
  /// Which file this is, and which state of it when it was opened: by the time of its last change, which, unlike that
  /// of its last modification, nobody can set. Two openings of a file that has only just changed differ.
  const std::string& identity() const { return identity_; }
  /// All of `bytes`, or an error.
  void read(void* into, size_t bytes, uint64_t offset) const;

 private:
  std::string path_;
  intptr_t file_;  // the system's: a descriptor, or a handle
  std::string identity_;
};

}  // namespace heddle
