#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

namespace heddle {

/// Largest number of axes of a tensor.
constexpr int kMaxRank = 6;

/// Sizes (or strides, in elements) of up to kMaxRank axes, stored inline.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    for (int64_t dim : dims) dims_[rank_++] = dim;
  }

  int rank() const { return rank_; }
  void push_back(int64_t dim) { dims_[rank_++] = dim; }
  int64_t operator[](int axis) const { return dims_[axis < 0 ? axis + rank_ : axis]; }
  int64_t& operator[](int axis) { return dims_[axis < 0 ? axis + rank_ : axis]; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + rank_; }

  /// Product of all sizes; 1 for a scalar.
  int64_t numel() const {
    int64_t product = 1;
    for (int64_t dim : *this) product *= dim;
    return product;
  }

  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int axis = 0; axis < rank_; ++axis) {
      if (dims_[axis] != other.dims_[axis]) return false;
    }
    return true;
  }
  bool operator!=(const Shape& other) const { return !(*this == other); }

 private:
  int rank_ = 0;
  int64_t dims_[kMaxRank] = {};
};

/// `[2, 3]`, in messages.
void append(std::string& text, const Shape& shape);

/// Throws RangeError where sizes multiply to more than any memory holds (2^44), zeros left out: beyond, products and
/// strides could overflow.
void check_size(const Shape& shape);

/// Strides, in elements, of a dense row-major tensor.
Shape contiguous_strides(const Shape& shape);

}  // namespace heddle
