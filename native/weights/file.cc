#include "weights/file.h"

#include <algorithm>
#include <atomic>
#include <system_error>

#include "core/error.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX 1
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace heddle {
namespace {

/// What a system says of an open file.
struct Facts {
  std::string place;    // which file of which disk
  std::string changed;  // when it last changed
  double age;           // seconds since then
  uint64_t bytes;
  bool is_regular;
};

/// The system's number of an error.
[[noreturn]] void fail(const std::string& path, bool is_missing, int error) {
  throw Error(ErrorKind::kRuntime, is_missing ? "FILE_NOT_FOUND" : "READ_FAILED",
              concat("[safetensors] cannot read ", path, ": ", std::system_category().message(error)));
}

#if defined(_WIN32)

[[noreturn]] void fail(const std::string& path) {
  const DWORD error = GetLastError();
  fail(path, error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND, static_cast<int>(error));
}

HANDLE handle_of(intptr_t file) { return reinterpret_cast<HANDLE>(file); }

intptr_t open_file(const std::string& path) {
  const int size = static_cast<int>(path.size());
  std::wstring wide(static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, path.data(), size, nullptr, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), size, wide.data(), static_cast<int>(wide.size()));
  constexpr DWORD kShared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  const HANDLE file =
      CreateFileW(wide.c_str(), GENERIC_READ, kShared, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) fail(path);
  return reinterpret_cast<intptr_t>(file);
}

void close_file(intptr_t file) { CloseHandle(handle_of(file)); }

Facts facts_of(intptr_t file, const std::string& path) {
  BY_HANDLE_FILE_INFORMATION info{};
  FILE_BASIC_INFO times{};
  if (!GetFileInformationByHandle(handle_of(file), &info) ||
      !GetFileInformationByHandleEx(handle_of(file), FileBasicInfo, &times, sizeof times)) {
    fail(path);
  }
  FILETIME clock{};
  GetSystemTimeAsFileTime(&clock);
  const auto join = [](DWORD high, DWORD low) { return static_cast<uint64_t>(high) << 32 | low; };
  const auto now = static_cast<int64_t>(join(clock.dwHighDateTime, clock.dwLowDateTime));
  return {concat(info.dwVolumeSerialNumber, ":", join(info.nFileIndexHigh, info.nFileIndexLow)),
          concat(times.ChangeTime.QuadPart), 1e-7 * static_cast<double>(now - times.ChangeTime.QuadPart),
          join(info.nFileSizeHigh, info.nFileSizeLow), GetFileType(handle_of(file)) == FILE_TYPE_DISK};
}

/// How many bytes came, at least one; fewer than asked for are no error.
size_t read_some(intptr_t file, const std::string& path, char* into, size_t bytes, uint64_t offset) {
  OVERLAPPED place{};
  place.Offset = static_cast<DWORD>(offset);
  place.OffsetHigh = static_cast<DWORD>(offset >> 32);
  DWORD got = 0;
  const auto wanted = static_cast<DWORD>(std::min(bytes, size_t{1} << 30));
  if (!ReadFile(handle_of(file), into, wanted, &got, &place)) fail(path);
  if (got == 0) fail(path, false, ERROR_HANDLE_EOF);  // it shrank
  return got;
}

#else

[[noreturn]] void fail(const std::string& path) { fail(path, errno == ENOENT, errno); }

intptr_t open_file(const std::string& path) {
  // Non-blocking, so that a named pipe is refused rather than waited for.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail(path);
  return file;
}

void close_file(intptr_t file) { close(static_cast<int>(file)); }

Facts facts_of(intptr_t file, const std::string& path) {
  struct stat info;
  if (fstat(static_cast<int>(file), &info) != 0) fail(path);
#if defined(__APPLE__)
  const timespec& changed = info.st_ctimespec;
#else
  const timespec& changed = info.st_ctim;
#endif
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const double age = static_cast<double>(now.tv_sec - changed.tv_sec) + 1e-9 * (now.tv_nsec - changed.tv_nsec);
  return {concat(info.st_dev, ":", info.st_ino), concat(changed.tv_sec, ".", changed.tv_nsec), age,
          static_cast<uint64_t>(info.st_size), S_ISREG(info.st_mode)};
}

/// How many bytes came, at least one; fewer than asked for are no error.
size_t read_some(intptr_t file, const std::string& path, char* into, size_t bytes, uint64_t offset) {
  while (true) {
    const ssize_t got = pread(static_cast<int>(file), into, bytes, static_cast<off_t>(offset));
    if (got > 0) return static_cast<size_t>(got);
    if (got == 0) fail(path, false, EIO);  // it shrank
    if (errno != EINTR) fail(path);
  }
}

#endif

/// Of files that are still being written.
std::atomic<uint64_t> openings{0};

/// A change this recent, in seconds, could be followed by one that bears the same time: clocks of file systems tick in
/// milliseconds.
constexpr double kFresh = 0.05;

}  // namespace

File::File(const std::string& path) : path_(path), file_(open_file(path)) {
  try {
    const Facts facts = facts_of(file_, path_);
    if (!facts.is_regular) {
      throw Error(ErrorKind::kRuntime, "READ_FAILED",
                  concat("[safetensors] cannot read ", path_, ": it is not a regular file"));
    }
    identity_ = concat(facts.place, ":", facts.bytes, ":", facts.changed);
    if (facts.age < kFresh) identity_ += concat(" opening ", openings.fetch_add(1, std::memory_order_relaxed));
  } catch (...) {
    close_file(file_);
    throw;
  }
}

File::~File() { close_file(file_); }

uint64_t File::size() const { return facts_of(file_, path_).bytes; }

void File::read(void* into, size_t bytes, uint64_t offset) const {
  for (char* at = static_cast<char*>(into); bytes > 0;) {
    const size_t got = read_some(file_, path_, at, bytes, offset);
    at += got;
    bytes -= got;
    offset += got;
  }
}

}  // namespace heddle
