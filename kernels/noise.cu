// Draws, and dropout (Hinton et al. 2012), over tensors [rows, row]. Element j of row i takes word j mod 4 of
// block j / 4 of its sample (philox.cuh):
//
//   uniform   y = low + span · u
//   normal    y = mean + std · z, z by Box and Muller from two words for two elements
//   dropout   y = u < keep ? scale · x : 0, which is its own adjoint
//
// One thread owns one block of four words and the up to four elements that take them.
#include "box_muller.cuh"

struct UniformParams {
  Tensor y;
  Draw draw;
  float low;
  float span;
};
struct NormalParams {
  Tensor y;
  Draw draw;
  float mean;
  float std;
};
struct DropoutParams {
  Tensor x, y;
  Draw draw;
  int32_t limit;  // ⌈keep · 2²⁴⌉: u < keep in integers
  float scale;
};

namespace {

// The thread's row, its block of words there, its first element and how many it has; none behind the end.
struct Place {
  uint32_t row, block, first, count;

  __device__ __forceinline__ explicit Place(const Draw& draw) {
    const uint32_t thread = blockIdx.x * 256 + threadIdx.x, blocks = draw.blocks();
    row = thread / blocks;
    block = thread - row * blocks;
    first = row * draw.row + 4 * block;
    const uint32_t rest = draw.row - 4 * block;
    count = row >= draw.rows ? 0 : rest < 4 ? rest : 4;
  }
  // Whether the elements may be read and written as one.
  __device__ __forceinline__ bool whole(const Tensor& t) const {
    return count == 4 && first % 4 == 0 && t.aligned();
  }
  __device__ __forceinline__ void store(const Tensor& y, const float (&x)[4]) const {
    if (whole(y)) {
      y.store4(first, make_float4(x[0], x[1], x[2], x[3]));
    } else {
#pragma unroll
      for (uint32_t j = 0; j < 4; j++)
        if (j < count) y.store(first + j, x[j]);
    }
  }
};

}  // namespace

KERNEL(256, uniform, UniformParams) {
  const Place place(p.draw);
  if (place.count == 0) return;
  const Words w = p.draw.words(place.row, place.block);
  float y[4];
#pragma unroll
  for (uint32_t j = 0; j < 4; j++) y[j] = (Rounded(p.low) + Rounded(p.span) * uniform24(w.word[j])).x;
  place.store(p.y, y);
}

KERNEL(256, normal, NormalParams) {
  const Place place(p.draw);
  if (place.count == 0) return;
  const Words w = p.draw.words(place.row, place.block);
  float y[4];
  box_muller(w.word[0], w.word[1], y[0], y[1]);
  box_muller(w.word[2], w.word[3], y[2], y[3]);
#pragma unroll
  for (uint32_t j = 0; j < 4; j++) y[j] = (Rounded(p.mean) + Rounded(p.std) * y[j]).x;
  place.store(p.y, y);
}

KERNEL(256, dropout, DropoutParams) {
  const Place place(p.draw);
  if (place.count == 0) return;
  float x[4] = {};
  if (place.whole(p.x)) {
    const float4 v = p.x.load4(place.first);
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
  } else {
#pragma unroll
    for (uint32_t j = 0; j < 4; j++)
      if (j < place.count) x[j] = p.x.load(place.first + j);
  }
  const Words w = p.draw.words(place.row, place.block);
  float y[4];
#pragma unroll
  for (uint32_t j = 0; j < 4; j++) y[j] = int32_t(w.word[j] >> 8) < p.limit ? x[j] * p.scale : 0.0f;
  place.store(p.y, y);
}
