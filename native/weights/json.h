#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>

namespace heddle {

/// What JsonReader throws: what it expected, what came instead, and at which byte.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The first bytes of a text, cut between characters, in quotes: for messages about text that may be hostile.
std::string quote(const std::string& text);

/// Pull reader of one JSON text (RFC 8259): the caller asks for the type it expects next, so nothing is stored that
/// it does not want and memory stays in proportion to the text, whatever the text is.
///
/// Stricter than the RFC where it leaves room: UTF-8 only, no key twice in an object, no lone surrogates, no number
/// past a double, fewer than kMaxDepth open brackets (the limit of serde_json). The text must outlive the reader; every
/// method throws JsonError.
class JsonReader {
 public:
  static constexpr int kMaxDepth = 128;

  JsonReader(const char* text, size_t size);

  /// Calls member(key) for each member; it must read the value.
  template <typename Member>
  void object(Member&& member) {
    open('{');
    std::set<std::string> keys;  // a tree, since keys chosen to collide would make a hash table quadratic
    if (!accept('}')) {
      do {
        const auto [key, is_new] = keys.insert(string());
        if (!is_new) fail("a new key", quote(*key));
        expect(':');
        member(*key);
      } while (another('}'));
    }
    --depth_;
  }

  /// Calls element() for each element; it must read the value.
  template <typename Element>
  void array(Element&& element) {
    open('[');
    if (!accept(']')) {
      do element();
      while (another(']'));
    }
    --depth_;
  }

  std::string string();

  /// An integer in [0, 2^63): digits only, as 1.0 and 1e2 are not integers to serde either.
  int64_t integer();

  /// Whether null came next; if so it has been read.
  bool null();

  /// Reads and checks a value of any type.
  void skip();

  /// Nothing but whitespace may follow.
  void end();

 private:
  char peek();
  bool accept(char c);
  void expect(char c);
  void open(char bracket);
  bool another(char closing);
  bool literal(const char* word);
  std::string number();
  uint32_t hex4();
  uint32_t escaped_code_point();
  [[noreturn]] void fail(const std::string& expected, const std::string& got) const;
  [[noreturn]] void fail(const std::string& expected) const;

  const char* begin_;
  const char* at_;
  const char* end_;
  int depth_ = 0;
};

}  // namespace heddle
