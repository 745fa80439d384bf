#include "weights/json.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace heddle {
namespace {

constexpr size_t kMaxQuotedBytes = 96;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// First byte that breaks UTF-8, or end. Overlong forms, surrogates and what lies past U+10FFFF show in the second
/// byte (Unicode 15, table 3-7).
const char* invalid_utf8(const char* at, const char* end) {
  while (at < end) {
    const auto lead = static_cast<unsigned char>(*at);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    const int size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || end - at < size) return at;
    const auto second = static_cast<unsigned char>(at[1]);
    const int low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const int high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (second < low || second > high) return at;
    for (int i = 2; i < size; ++i) {
      if (!is_continuation(at[i])) return at;
    }
    at += size;
  }
  return end;
}

void append_utf8(std::string& out, uint32_t code_point) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

}  // namespace

JsonReader::JsonReader(const char* text, size_t size) : begin_(text), at_(text), end_(text + size) {
  at_ = invalid_utf8(begin_, end_);
  if (at_ != end_) fail("UTF-8", concat("byte ", static_cast<int>(static_cast<unsigned char>(*at_))));
  at_ = begin_;
}

std::string JsonReader::string() {
  if (peek() != '"') fail("a string");
  ++at_;
  std::string out;
  while (at_ < end_ && *at_ != '"') {
    if (static_cast<unsigned char>(*at_) < 0x20) fail("control characters to be escaped");
    if (*at_ != '\\') {
      out.push_back(*at_++);
      continue;
    }
    ++at_;
    static constexpr char kNames[] = "\"\\/bfnrt", kMeanings[] = "\"\\/\b\f\n\r\t";
    const char* name = at_ < end_ && *at_ != '\0' ? std::strchr(kNames, *at_) : nullptr;
    if (name) {
      out.push_back(kMeanings[name - kNames]);
      ++at_;
    } else {
      append_utf8(out, escaped_code_point());
    }
  }
  if (at_ == end_) fail("the end of a string");
  ++at_;
  return out;
}

uint32_t JsonReader::escaped_code_point() {
  const uint32_t first = hex4();
  if (first < 0xD800 || first > 0xDFFF) return first;
  if (first > 0xDBFF) fail("a leading surrogate before a trailing one");
  if (at_ == end_ || *at_ != '\\') fail("a trailing surrogate after a leading one");
  ++at_;
  const uint32_t second = hex4();
  if (second < 0xDC00 || second > 0xDFFF) fail("a trailing surrogate after a leading one");
  return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

uint32_t JsonReader::hex4() {
  if (end_ - at_ < 5 || *at_ != 'u') fail("an escape sequence");
  uint32_t value = 0;
  for (const char* stop = ++at_ + 4; at_ < stop; ++at_) {
    const char lower = static_cast<char>(*at_ | 0x20);
    if (!is_digit(*at_) && (lower < 'a' || lower > 'f')) fail("a hexadecimal digit");
    value = value << 4 | static_cast<uint32_t>(is_digit(*at_) ? *at_ - '0' : lower - 'a' + 10);
  }
  return value;
}

std::string JsonReader::number() {
  const char* start = at_;
  const auto digits = [&] {
    if (at_ == end_ || !is_digit(*at_)) fail("a digit");
    while (at_ < end_ && is_digit(*at_)) ++at_;
  };
  const auto take = [&](const char* any) { return at_ < end_ && *at_ && std::strchr(any, *at_) && ++at_; };
  take("-");
  if (!take("0")) digits();
  if (take(".")) digits();
  if (take("eE")) {
    take("+-");
    digits();
  }
  return std::string(start, at_);
}

int64_t JsonReader::integer() {
  static constexpr char kExpected[] = "an integer in [0, 2^63)";
  const char first = peek();
  if (!is_digit(first) && first != '-') fail(kExpected);
  const std::string digits = number();
  int64_t value = 0;
  for (const char c : digits) {
    if (!is_digit(c) || value > (INT64_MAX - (c - '0')) / 10) fail(kExpected, quote(digits));
    value = value * 10 + (c - '0');
  }
  return value;
}

bool JsonReader::null() { return peek() == 'n' && literal("null"); }

void JsonReader::skip() {
  const char c = peek();
  if (c == '{') return object([&](const std::string&) { skip(); });
  if (c == '[') return array([&] { skip(); });
  if (c == '"') return static_cast<void>(string());
  if (c == '-' || is_digit(c)) {
    const std::string digits = number();
    if (!std::isfinite(std::strtod(digits.c_str(), nullptr))) fail("a number in the range of a double", quote(digits));
    return;
  }
  if (!literal("true") && !literal("false") && !literal("null")) fail("a value");
}

void JsonReader::end() {
  if (peek() != '\0' || at_ != end_) fail("the end");
}

/// First byte of the next token, NUL at the end; a NUL in the text begins no token, so callers treat both alike.
char JsonReader::peek() {
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  return at_ < end_ ? *at_ : '\0';
}

bool JsonReader::accept(char c) {
  if (peek() != c) return false;
  ++at_;
  return true;
}

void JsonReader::expect(char c) {
  if (!accept(c)) fail(concat("'", c, "'"));
}

void JsonReader::open(char bracket) {
  expect(bracket);
  if (++depth_ >= kMaxDepth) fail(concat("fewer than ", kMaxDepth, " open brackets"));
}

bool JsonReader::another(char closing) {
  if (accept(',')) return true;
  if (!accept(closing)) fail(concat("',' or '", closing, "'"));
  return false;
}

bool JsonReader::literal(const char* word) {
  const size_t size = std::strlen(word);
  if (static_cast<size_t>(end_ - at_) < size || std::memcmp(at_, word, size) != 0) return false;
  at_ += size;
  return true;
}

void JsonReader::fail(const std::string& expected, const std::string& got) const {
  throw JsonError(concat("expected ", expected, " at byte ", at_ - begin_, " but got ", got));
}

void JsonReader::fail(const std::string& expected) const {
  if (at_ == end_) fail(expected, "the end");
  const char* after = at_ + 1;
  while (after < end_ && is_continuation(*after)) ++after;
  fail(expected, quote(std::string(at_, after)));
}

std::string quote(const std::string& text) {
  if (text.size() <= kMaxQuotedBytes) return '"' + text + '"';
  size_t cut = kMaxQuotedBytes;
  while (cut > 0 && is_continuation(text[cut])) --cut;
  return '"' + text.substr(0, cut) + "...\"";
}

}  // namespace heddle
