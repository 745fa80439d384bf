#include "core/error.h"

#include <utility>

namespace heddle {

Error::Error(ErrorKind kind, std::string code, const std::string& message)
    : std::runtime_error(message), kind_(kind), code_(std::move(code)) {}

Error::~Error() = default;

}  // namespace heddle
