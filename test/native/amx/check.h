#pragma once

#include <cstdint>
#include <string>

namespace heddle::cpu::HEDDLE_ISA {

// They count what is as expected, and print what differs.

/// To the bit, or both NaN.
void expect_same(const std::string& name, float actual, float expected);
void expect_equal(const std::string& name, int32_t actual, int32_t expected);

/// The tests of int8.cc.
void test_int8();

}  // namespace heddle::cpu::HEDDLE_ISA
