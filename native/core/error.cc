#include "core/error.h"

#include <utility>

namespace heddle {

Error::Error(ErrorKind kind, std::string code, const std::string& message)
    : std::runtime_error(message), kind_(kind), code_(std::move(code)) {}

Error::Error(const Error& other) : std::runtime_error(other), kind_(other.kind_), code_(other.code_) {}

Error::~Error() = default;

}  // namespace heddle
