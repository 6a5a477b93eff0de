// Blocks of 2×2 pixels: max pooling, nearest-neighbour upsampling and their adjoints.
//
//   pool_pick     y = v at the largest x of the block           x, v [n, h, w, c] → [n, h/2, w/2, c]
//   pool_scatter  y = dy at the largest x of the block, else 0  dy [n, h/2, w/2, c], x → [n, h, w, c]
//   upsample      y = v, four times                             v [n, h/2, w/2, c] → [n, h, w, c]
//   block_sum     y = Σ v over the block                        v [n, h, w, c] → [n, h/2, w/2, c]
//
// A thread owns one channel of a block, or four where `wide`; threads of a warp lie side by side in
// memory. With i the block, over the whole batch, and q blocks to a line, its upper left pixel is
// 2 · (i + ⌊i / q⌋ · q), because heights are even.
#include "division.cuh"

struct PoolParams {
  Tensor v;
  Tensor x;
  Tensor y;
  Division channels;  // c, or c / 4 where `wide`
  Division line;      // w / 2
  uint32_t count;     // of threads that have something to do
  uint32_t wide;      // c is a multiple of 4 and all tensors are aligned
};

namespace {

// One channel or four, and how they are read and written.
template <bool WIDE>
struct Values {
  float v[WIDE ? 4 : 1];

  __device__ __forceinline__ static Values load(const Tensor& t, uint32_t i) {
    if constexpr (WIDE) {
      const float4 x = t.load4(4 * i);
      return {{x.x, x.y, x.z, x.w}};
    } else {
      return {{t.load(i)}};
    }
  }
  __device__ __forceinline__ void store(const Tensor& t, uint32_t i) const {
    if constexpr (WIDE)
      t.store4(4 * i, make_float4(v[0], v[1], v[2], v[3]));
    else
      t.store(i, v[0]);
  }
};

// The four pixels of a block, in units of what a thread owns: row by row.
struct Pixels {
  uint32_t at[4];

  __device__ __forceinline__ Pixels(const PoolParams& p, uint32_t i) {
    const uint32_t pixel = p.channels.quotient(i), c = p.channels.by;
    const uint32_t corner = 2 * (pixel + p.line.quotient(pixel) * p.line.by) * c + (i - pixel * c);
    at[0] = corner;
    at[1] = corner + c;
    at[2] = corner + 2 * p.line.by * c;
    at[3] = at[2] + c;
  }
};

// The pixel with the largest x: among equals the first, and a NaN before all numbers.
__device__ __forceinline__ uint32_t winner(const float (&x)[4]) {
  float best = x[0];
  uint32_t at = 0;
#pragma unroll
  for (uint32_t k = 1; k < 4; ++k) {
    const bool wins = x[k] > best || (x[k] != x[k] && best == best);
    best = wins ? x[k] : best;
    at = wins ? k : at;
  }
  return at;
}

template <bool WIDE>
__device__ __forceinline__ void pick(const PoolParams& p, uint32_t i) {
  constexpr int LANES = WIDE ? 4 : 1;
  using V = Values<WIDE>;
  const Pixels pixels(p, i);
  V x[4], v[4], y;
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) x[k] = V::load(p.x, pixels.at[k]);
  const bool same = p.v.at == p.x.at;
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) v[k] = same ? x[k] : V::load(p.v, pixels.at[k]);
#pragma unroll
  for (int l = 0; l < LANES; ++l) {
    const uint32_t at = winner({x[0].v[l], x[1].v[l], x[2].v[l], x[3].v[l]});
    const float upper = at == 0 ? v[0].v[l] : v[1].v[l], lower = at == 2 ? v[2].v[l] : v[3].v[l];
    y.v[l] = at < 2 ? upper : lower;
  }
  y.store(p.y, i);
}

template <bool WIDE>
__device__ __forceinline__ void scatter(const PoolParams& p, uint32_t i) {
  constexpr int LANES = WIDE ? 4 : 1;
  using V = Values<WIDE>;
  const Pixels pixels(p, i);
  const V dy = V::load(p.v, i);
  V x[4], y[4];
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) x[k] = V::load(p.x, pixels.at[k]);
#pragma unroll
  for (int l = 0; l < LANES; ++l) {
    const uint32_t at = winner({x[0].v[l], x[1].v[l], x[2].v[l], x[3].v[l]});
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) y[k].v[l] = at == k ? dy.v[l] : 0.0f;
  }
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) y[k].store(p.y, pixels.at[k]);
}

template <bool WIDE>
__device__ __forceinline__ void spread(const PoolParams& p, uint32_t i) {
  const Pixels pixels(p, i);
  const Values<WIDE> v = Values<WIDE>::load(p.v, i);
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) v.store(p.y, pixels.at[k]);
}

template <bool WIDE>
__device__ __forceinline__ void gather(const PoolParams& p, uint32_t i) {
  const Pixels pixels(p, i);
  Values<WIDE> v[4], y;
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k) v[k] = Values<WIDE>::load(p.v, pixels.at[k]);
#pragma unroll
  for (int l = 0; l < (WIDE ? 4 : 1); ++l) y.v[l] = (v[0].v[l] + v[1].v[l]) + (v[2].v[l] + v[3].v[l]);
  y.store(p.y, i);
}

}  // namespace

#define FOR_EACH_BLOCK(function)                                                        \
  for (uint32_t i = blockIdx.x * 256 + threadIdx.x; i < p.count; i += gridDim.x * 256) { \
    if (p.wide)                                                                         \
      function<true>(p, i);                                                             \
    else                                                                                \
      function<false>(p, i);                                                            \
  }

KERNEL(256, pool_pick, PoolParams) { FOR_EACH_BLOCK(pick) }
KERNEL(256, pool_scatter, PoolParams) { FOR_EACH_BLOCK(scatter) }
KERNEL(256, upsample, PoolParams) { FOR_EACH_BLOCK(spread) }
KERNEL(256, block_sum, PoolParams) { FOR_EACH_BLOCK(gather) }
