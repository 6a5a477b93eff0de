// Counter-based random numbers, the twin of crates/tape/src/philox.rs: Philox4x32-10 (Salmon et al. 2011).
// A number is a function of where it is used, so that every device draws the same ones.
#pragma once
#include "tensor.cuh"

// Four words of a draw.
struct Words {
  uint32_t word[4];
};

__device__ __forceinline__ Words philox4x32_10(Words c, uint32_t key0, uint32_t key1) {
#pragma unroll
  for (uint32_t i = 0; i < 10; i++) {
    const uint64_t a = uint64_t(c.word[0]) * 0xD2511F53u;
    const uint64_t b = uint64_t(c.word[2]) * 0xCD9E8D57u;
    c = Words{{uint32_t(b >> 32) ^ c.word[1] ^ (key0 + i * 0x9E3779B9u), uint32_t(b),
               uint32_t(a >> 32) ^ c.word[3] ^ (key1 + i * 0xBB67AE85u), uint32_t(a)}};
  }
  return c;
}

// A word as a multiple of 2⁻²⁴ in [0, 1), exact.
__device__ __forceinline__ float uniform24(uint32_t word) {
  return float(int32_t(word >> 8)) * (1.0f / 16777216.0f);
}

// Who draws: a tensor [rows, row] whose row i is global sample i · world + rank. Draws for weights, which all
// ranks share, take neither tick nor rank, and have one row and world 1.
struct Draw {
  uint64_t clock;
  uint32_t stream;
  uint32_t world;
  uint32_t rows;
  uint32_t row;  // elements of one row
  uint32_t weights;
  uint32_t unused;

  // Blocks of four words for one row.
  __device__ __forceinline__ uint32_t blocks() const { return row / 4 + (row % 4 != 0); }

  // The words of elements 4 · block .. 4 · block + 4 of row i.
  __device__ __forceinline__ Words words(uint32_t i, uint32_t block) const {
    const Clock& now = *reinterpret_cast<const Clock*>(clock);
    const uint64_t tick = weights ? 0 : now.tick;
    const uint32_t sample = i * world + (weights ? 0 : now.rank);
    const uint32_t high = uint32_t(tick >> 32);
    const Words counter{{block, sample, uint32_t(tick), stream ^ (high << 16 | high >> 16)}};
    return philox4x32_10(counter, uint32_t(now.seed), uint32_t(now.seed >> 32));
  }
};
