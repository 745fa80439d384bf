#include "simt/fiber.h"

#include <cstdint>
#include <cstdlib>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace heddle::simt {
namespace {

constexpr size_t kStackBytes = size_t{96} << 10;

/// The fiber that is entered for the first time: the way to hand it to a function without arguments.
Fiber* entering = nullptr;

#if defined(__x86_64__)
// Two stack pointers and the registers that a call preserves. swapcontext does the same with a system call each time.
extern "C" void heddle_simt_switch(void** from, void* to);
asm(R"(
.text
.globl heddle_simt_switch
.type heddle_simt_switch,@function
heddle_simt_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");
#endif

}  // namespace

struct Fiber::Context {
#if defined(__x86_64__)
  void* inside = nullptr;
  void* outside = nullptr;
#else
  ucontext_t inside, outside;
#endif
  // AddressSanitizer must be told which stack is in use.
  void* fake_inside = nullptr;
  void* fake_outside = nullptr;
  const void* outer_stack = nullptr;
  size_t outer_bytes = 0;
};

Fiber::Fiber(Function function, void* argument)
    : function_(function), argument_(argument), stack_(new char[kStackBytes]), context_(new Context) {
#if defined(__x86_64__)
  auto* top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack_.get()) + kStackBytes) & ~uintptr_t{63});
  *--top = nullptr;  // where `enter` would return to: keeps the stack aligned as a call does
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context_->inside = top;
#else
  getcontext(&context_->inside);
  context_->inside.uc_stack.ss_sp = stack_.get();
  context_->inside.uc_stack.ss_size = kStackBytes;
  context_->inside.uc_link = nullptr;
  makecontext(&context_->inside, &Fiber::enter, 0);
#endif
}

Fiber::~Fiber() = default;

void Fiber::enter() {
  Fiber* const self = entering;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &self->context_->outer_stack, &self->context_->outer_bytes);
#endif
  self->function_(self->argument_);
  std::abort();  // contract: the function never returns
}

void Fiber::resume() {
  entering = this;
  Context& c = *context_;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&c.fake_outside, stack_.get(), kStackBytes);
#endif
#if defined(__x86_64__)
  heddle_simt_switch(&c.outside, c.inside);
#else
  swapcontext(&c.outside, &c.inside);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(c.fake_outside, nullptr, nullptr);
#endif
}

void Fiber::suspend() {
  Context& c = *context_;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&c.fake_inside, c.outer_stack, c.outer_bytes);
#endif
#if defined(__x86_64__)
  heddle_simt_switch(&c.inside, c.outside);
#else
  swapcontext(&c.inside, &c.outside);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(c.fake_inside, &c.outer_stack, &c.outer_bytes);
#endif
}

}  // namespace heddle::simt
