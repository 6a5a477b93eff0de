// Fibres: stacks that one OS thread switches between. A thread of a block is one.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stand_in {

// Address space of one stack; a fibre has what is left below its top. Red zones make frames large.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK = 512 << 10;
#else
constexpr size_t STACK = 128 << 10;
#endif

// The top of the stack that holds `address`. Fibres that run in turn would fight for the same lines of the
// cache, and for the same entries of the table of pages, if all tops were at the same place of a stack.
inline uintptr_t stack_top(uintptr_t address) {
  const uintptr_t stack = address / STACK;
  return (stack + 1) * STACK - stack % 16 * 4096 - stack * 17 % 64 * 64;
}

// Where a fibre goes on. `bottom` is null for the OS thread's own stack.
struct Fibre {
  void* at = nullptr;
  void* bottom = nullptr;
};

// STACK bytes at a multiple of STACK, of which the lowest page faults.
void* new_stack();

// Makes `fibre` begin at `entry`, below `top`. `entry` calls `entered` first and never returns.
void begin(Fibre& fibre, void* stack, void* top, void (*entry)());
void entered();

// Leaves `from` and goes on at `to`.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(STAND_IN_UCONTEXT)
extern "C" void stand_in_switch(void** save, void* load);
inline void switch_fibre(Fibre& from, Fibre& to) { stand_in_switch(&from.at, to.at); }
#else
void switch_fibre(Fibre& from, Fibre& to);
#endif

}  // namespace stand_in
