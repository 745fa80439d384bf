#include "core/error.h"

#include <cstdio>
#include <utility>

namespace heddle {

Error::Error(ErrorKind kind, std::string code, const std::string& message)
    : std::runtime_error(message), kind_(kind), code_(std::move(code)) {}

Error::Error(const Error& other) : std::runtime_error(other), kind_(other.kind_), code_(other.code_) {}

Error::~Error() = default;

void append(std::string& text, double part) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%g", part);
  text.append(digits);
}

}  // namespace heddle
