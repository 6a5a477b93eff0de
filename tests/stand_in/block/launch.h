// Kernels by name, and launches of them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "vectors.h"

namespace stand_in {

// A kernel of the sources. KERNEL makes one for each, which registers itself.
struct Kernel {
  const char* name;
  uint32_t most_threads;  // of a block
  size_t param_bytes;
  void (*body)(const void* params);
  const Kernel* next;

  Kernel(const char* name, uint32_t most_threads, size_t param_bytes, void (*body)(const void*));
};

// All of them: a list through `next`.
const Kernel* kernels();
// The kernel of this name, or null.
const Kernel* kernel(const char* name);

// Runs all blocks of a launch and returns when they have ended. The blocks are shared among the OS threads
// (DUEL_STAND_IN_THREADS, by default as many as there are cores), each in its own order. `params` points at
// param_bytes bytes. Returns null, or why the launch is refused.
const char* launch(const Kernel& kernel, dim3 grid, dim3 block, uint32_t dynamic_bytes, const void* params);

// What shared memory holds before a block, and where a copy has not landed: NaN as a float or a bf16.
constexpr unsigned char GARBAGE = 0xff;

// DUEL_STAND_IN_SEED, or 1: all that is drawn follows from it.
uint64_t seed();

}  // namespace stand_in
