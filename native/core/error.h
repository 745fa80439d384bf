#pragma once

#include <atomic>
#include <sstream>
#include <stdexcept>
#include <string>

namespace heddle {

/// What JavaScript sees: TypeError, RangeError, or an Error; each may carry a `code`.
enum class ErrorKind { kType, kRange, kRuntime };

/// The one exception type of the native side. Messages start with the function in brackets and give the values:
/// `[layer_norm] weight must have shape [C=512] but got [256]`.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string code, const std::string& message);
  /// A failure of its own, of which nobody was told.
  Error(const Error& other);
  ~Error() override;

  ErrorKind kind() const { return kind_; }
  /// Stable identifier such as "QUEUE_FULL"; empty for plain argument errors.
  const std::string& code() const { return code_; }

  /// Somebody is told of this failure. False if somebody was before, on whichever stream.
  bool tell() const { return !told_.exchange(true, std::memory_order_relaxed); }
  bool told() const { return told_.load(std::memory_order_relaxed); }

 private:
  ErrorKind kind_;
  std::string code_;
  mutable std::atomic<bool> told_{false};
};

/// Joins its arguments with operator<<. Throws std::bad_alloc: a stream of its own would cut the text off.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  out.exceptions(std::ios_base::badbit);
  (out << ... << parts);
  return out.str();
}

template <typename... Parts>
[[noreturn]] void throw_type_error(const Parts&... parts) {
  throw Error(ErrorKind::kType, "", concat(parts...));
}

template <typename... Parts>
[[noreturn]] void throw_range_error(const Parts&... parts) {
  throw Error(ErrorKind::kRange, "", concat(parts...));
}

}  // namespace heddle
