// Division by a number that is known at the launch, as a product and a shift (Granlund & Montgomery 1994).
// The twin of crates/cuda/src/division.rs.
#pragma once
#include "tensor.cuh"

struct Division {
  uint32_t by;
  uint32_t magic;  // ⌊2³² · (2^shift − by) / by⌋ + 1
  uint32_t shift;  // ⌈log₂ by⌉
  uint32_t unused;

  // ⌊n / by⌋, exact for every n.
  __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
    const uint64_t high = uint64_t(n) * magic >> 32;
    return static_cast<uint32_t>((high + n) >> shift);
  }
};
