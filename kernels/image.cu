// From one type of numbers to another.
//
//   convert  y[i] = scale · x[i] + shift, x bytes or f32 of the host's batch
//   cast     to[segment.to + i] = from[segment.from + i], a table of segments in one launch: the copies
//            of weights that products read
//
// convert: a block owns 2048 adjacent elements at a time, a thread two runs of four. cast: block (x, y)
// owns every gridDim.x-th piece of 4096 elements of segment y, a thread runs of four.
#include "tensor.cuh"

struct ConvertParams {
  Tensor x;
  Tensor y;
  float scale;
  float shift;
  uint32_t wide;  // y is aligned, and x begins at a multiple of four elements
  uint32_t unused;
};

namespace {

__device__ __forceinline__ float4 load4(const Tensor& t, uint32_t i) {
  if (t.type != U8) return t.load4(i);
  const uint32_t u = *reinterpret_cast<const uint32_t*>(t.of<const uint8_t>() + i);
  return make_float4(float(u & 255), float(u >> 8 & 255), float(u >> 16 & 255), float(u >> 24));
}

}  // namespace

KERNEL(256, convert, ConvertParams) {
  const uint32_t quads = p.wide ? p.x.len / 4 : 0;
  for (uint32_t q = blockIdx.x * 512 + threadIdx.x; q < quads; q += gridDim.x * 512) {
    float4 x[2] = {};
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h)
      if (q + h * 256 < quads) x[h] = load4(p.x, 4 * (q + h * 256));
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h) {
      const float4 y = make_float4(p.scale * x[h].x + p.shift, p.scale * x[h].y + p.shift,
                                   p.scale * x[h].z + p.shift, p.scale * x[h].w + p.shift);
      if (q + h * 256 < quads) p.y.store4(4 * (q + h * 256), y);
    }
  }
  for (uint32_t i = 4 * quads + blockIdx.x * 256 + threadIdx.x; i < p.x.len; i += gridDim.x * 256)
    p.y.store(i, p.scale * p.x.load(i) + p.shift);
}

struct CastParams {
  Tensor from;     // F32
  Tensor to;       // F32 or BF16
  uint64_t table;  // a uint4 for each segment: first element in from, first in to, length, nothing
};

KERNEL(256, cast, CastParams) {
  constexpr uint32_t PIECE = 4096;
  const uint4 segment = reinterpret_cast<const uint4*>(p.table)[blockIdx.y];
  const bool wide = p.from.at % 16 == 0 && segment.x % 4 == 0;
  for (uint32_t piece = blockIdx.x * PIECE; piece < segment.z; piece += gridDim.x * PIECE) {
    const uint32_t end = min(segment.z, piece + PIECE);
#pragma unroll 4
    for (uint32_t i = piece + 4 * threadIdx.x; i < end; i += 1024) {
      if (i + 4 > end) {
        for (uint32_t k = i; k < end; ++k) p.to.store(segment.y + k, p.from.load(segment.x + k));
      } else {
        const uint32_t at = segment.x + i;
        const float4 x = wide ? p.from.load4(at)
                              : make_float4(p.from.load(at), p.from.load(at + 1), p.from.load(at + 2),
                                            p.from.load(at + 3));
        p.to.store4(segment.y + i, x);
      }
    }
  }
}
