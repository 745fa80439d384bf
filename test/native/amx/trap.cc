
#include <ucontext.h>

#include <csignal>
#include <cstring>

#include "amx/emulation.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// Emulates the instructions of AMX where they are met, on a processor that does not know them and so raises SIGILL:
/// what was compiled for AMX runs as it is. Of each instruction, the forms that cpu/amx.h uses.
class TileTrap {
 public:
  static void install() {
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t*, void* context) {
      greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
      if (!TileTrap(registers).emulate()) std::signal(SIGILL, SIG_DFL);  // the next trap ends the process
      while (TileTrap(registers).emulate()) {  // those that follow at once need no trap of their own
      }
    };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, nullptr);
  }

 private:
  explicit TileTrap(greg_t* registers)
      : registers_(registers), code_(reinterpret_cast<const uint8_t*>(registers[REG_RIP])) {}

  /// VEX with three bytes, C4 RXBmmmmm WvvvvLpp, then opcode, ModRM and, if that names memory, SIB and displacement.
  bool emulate() {
    constexpr int kMap0F38 = 2, kNone = 0, kF3 = 2, kF2 = 3;
    if (code_[0] != 0xC4 || (code_[1] & 0x1F) != kMap0F38 || (code_[2] & 0x84) != 0) return false;
    const int prefix = code_[2] & 3, opcode = code_[3], mod = code_[4] >> 6;
    const int reg = code_[4] >> 3 & 7, rm = code_[4] & 7, vvvv = ~code_[2] >> 3 & 15;
    EmulatedTiles& tiles = EmulatedTiles::of_thread();
    char* const memory = mod == 3 ? nullptr : address();
    if (opcode == 0x5C && prefix == kF3 && mod == 3) {
      tiles.multiply(reg, rm, vvvv);
    } else if (opcode == 0x5E && prefix == kF2 && mod == 3) {
      tiles.multiply_bytes(reg, rm, vvvv);
    } else if (opcode == 0x49 && prefix == kF2 && mod == 3) {
      tiles.zero(reg);
    } else if (opcode == 0x49 && prefix == kNone && mod == 3) {
      tiles.release();
    } else if (opcode == 0x49 && prefix == kNone) {
      tiles.configure(memory);
    } else if (opcode == 0x4B && prefix == kF2 && rm == 4) {
      tiles.load(reg, memory, stride_);
    } else if (opcode == 0x4B && prefix == kF3 && rm == 4) {
      tiles.store(reg, memory, stride_);
    } else {
      return false;
    }
    registers_[REG_RIP] += length_;
    return true;
  }

  /// Of the operand in memory; what its index adds is the stride of tiles, and not a part of it.
  char* address() {
    const int mod = code_[4] >> 6, rm = code_[4] & 7;
    int base = rm;
    if (rm == 4) {
      const int index = (code_[5] >> 3 & 7) | (~code_[1] >> 3 & 8);
      stride_ = index == 4 ? 0 : value(index) << (code_[5] >> 6);
      base = code_[5] & 7;
      ++length_;
    }
    int32_t displacement = 0;
    const bool relative = mod == 0 && rm == 5;
    if (mod == 1) displacement = static_cast<int8_t>(code_[length_]);
    if (mod == 2 || relative) std::memcpy(&displacement, code_ + length_, 4);
    length_ += mod == 1 ? 1 : mod == 2 || relative ? 4 : 0;
    const int64_t from = relative ? registers_[REG_RIP] + length_ : value(base | (~code_[1] >> 2 & 8));
    return reinterpret_cast<char*>(from + displacement);
  }

  /// Of a register by its number in the encoding.
  int64_t value(int number) const {
    constexpr int kRegisters[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return registers_[kRegisters[number]];
  }

  greg_t* const registers_;
  const uint8_t* const code_;
  int64_t stride_ = 0;
  int length_ = 5;
};

}  // namespace

void emulate_tiles() { TileTrap::install(); }

}  // namespace heddle::cpu::HEDDLE_ISA
