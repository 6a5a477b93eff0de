// Switching stacks: a few instructions on x86-64, ucontext elsewhere.
#include "fibre.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__) || defined(STAND_IN_UCONTEXT)
#define WITH_UCONTEXT 1
#include <ucontext.h>
#endif

#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace stand_in {

void* new_stack() {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* all = mmap(nullptr, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) {
    perror("stand-in: no memory for a stack");
    abort();
  }
  const uintptr_t begin = reinterpret_cast<uintptr_t>(all);
  const uintptr_t stack = (begin + STACK - 1) & ~(STACK - 1);
  if (stack > begin) munmap(all, stack - begin);
  if (begin + 2 * STACK > stack + STACK)
    munmap(reinterpret_cast<void*>(stack + STACK), begin + STACK - stack);
  mprotect(reinterpret_cast<void*>(stack), page, PROT_NONE);
  return reinterpret_cast<void*>(stack);
}

// What frames that never returned left marked is cleared.
static void clear_marks(void* stack) {
#ifdef __SANITIZE_ADDRESS__
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  __asan_unpoison_memory_region(static_cast<char*>(stack) + page, STACK - page);
#else
  (void)stack;
#endif
}

#ifdef __SANITIZE_ADDRESS__
struct OwnStack {
  void* bottom;
  size_t size;
};

// The stack of this OS thread.
static const OwnStack& own_stack() {
  static const OwnStack own = [] {
    OwnStack found{};
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &found.bottom, &found.size);
    pthread_attr_destroy(&attributes);
    return found;
  }();
  return own;
}
#endif

#ifdef WITH_UCONTEXT

void begin(Fibre& fibre, void* stack, void* top, void (*entry)()) {
  clear_marks(stack);
  if (!fibre.at) fibre.at = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(fibre.at);
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = size_t(static_cast<char*>(top) - static_cast<char*>(stack));
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  fibre.bottom = stack;
}

static void go(Fibre& from, Fibre& to) {
  if (!from.at) from.at = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from.at), static_cast<ucontext_t*>(to.at));
}

#else

extern "C" void stand_in_switch(void** save, void* load);
asm(R"(.text
.p2align 4
.hidden stand_in_switch
.globl stand_in_switch
.type stand_in_switch,@function
stand_in_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size stand_in_switch,.-stand_in_switch
)");

void begin(Fibre& fibre, void* stack, void* top, void (*entry)()) {
  clear_marks(stack);
  // As a call would leave it: a multiple of 16 below a return address, which nothing uses.
  void** at = static_cast<void**>(top);
  *--at = nullptr;
  *--at = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved < 6; ++saved) *--at = nullptr;
  fibre.at = at;
  fibre.bottom = stack;
}

[[maybe_unused]] static inline void go(Fibre& from, Fibre& to) { stand_in_switch(&from.at, to.at); }

#endif

#ifdef __SANITIZE_ADDRESS__

void switch_fibre(Fibre& from, Fibre& to) {
  void* fake = nullptr;
  const OwnStack own = own_stack();
  __sanitizer_start_switch_fiber(&fake, to.bottom ? to.bottom : own.bottom, to.bottom ? STACK : own.size);
  go(from, to);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void entered() { __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr); }

#else

#ifdef WITH_UCONTEXT
void switch_fibre(Fibre& from, Fibre& to) { go(from, to); }
#endif

void entered() {}

#endif

}  // namespace stand_in
