#pragma once

#include <cstddef>
#include <memory>

namespace heddle::simt {

/// A function with a stack of its own that can stop anywhere and be taken up again. Fibers of one thread take turns:
/// whoever resumes one goes on when it suspends. The function never returns; a fiber is destroyed while suspended.
class Fiber {
 public:
  using Function = void (*)(void* argument);

  Fiber(Function function, void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();
  void suspend();

 private:
  struct Context;

  static void enter();

  const Function function_;
  void* const argument_;
  std::unique_ptr<char[]> stack_;
  std::unique_ptr<Context> context_;
};

}  // namespace heddle::simt
