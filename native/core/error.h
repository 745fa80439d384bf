#pragma once

#include <atomic>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

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

/// How values read in messages. (Not by C++ streams, whose locales are half a megabyte of the addon.)
inline void append(std::string& text, std::string_view part) { text.append(part); }
inline void append(std::string& text, char part) { text.push_back(part); }
/// As printf's %g.
void append(std::string& text, double part);
template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
void append(std::string& text, Integer part) {
  text.append(std::to_string(part));
}

template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::string text;
  (append(text, parts), ...);
  return text;
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
