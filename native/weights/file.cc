#include "weights/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace heddle {
namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw Error(ErrorKind::kRuntime, error == ENOENT ? "FILE_NOT_FOUND" : "READ_FAILED",
              concat("[safetensors] cannot read ", path, ": ", std::strerror(error)));
}

/// Of files that are still being written.
std::atomic<uint64_t> openings{0};

/// Whether a file's time of change is so near that one more change could bear the same: clocks of file systems tick in
/// milliseconds.
bool is_fresh(const timespec& changed) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec - changed.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - changed.tv_nsec) <
         0.05;
}

}  // namespace

// Non-blocking, so that a named pipe is refused rather than waited for.
File::File(const std::string& path) : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  struct stat info;
  if (fd_ < 0 || fstat(fd_, &info) != 0) {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    fail(path_, error);
  }
#if defined(__APPLE__)
  const timespec& changed = info.st_ctimespec;
#else
  const timespec& changed = info.st_ctim;
#endif
  identity_ = concat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", changed.tv_sec, ".", changed.tv_nsec);
  if (is_fresh(changed)) identity_ += concat(" opening ", openings.fetch_add(1, std::memory_order_relaxed));
}

File::~File() { close(fd_); }

uint64_t File::size() const {
  struct stat info;
  if (fstat(fd_, &info) != 0) fail(path_, errno);
  if (!S_ISREG(info.st_mode)) fail(path_, S_ISDIR(info.st_mode) ? EISDIR : EINVAL);
  return static_cast<uint64_t>(info.st_size);
}

void File::read(void* into, size_t bytes, uint64_t offset) const {
  char* at = static_cast<char*>(into);
  while (bytes > 0) {
    const ssize_t got = pread(fd_, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail(path_, got < 0 ? errno : EIO);  // 0: the file shrank
    at += got;
    bytes -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
}

}  // namespace heddle
