// The sum of the parts of a product whose k was split:  y[i] = Σ_z parts[z][i] (+ other[i]),  z ascending.
// A thread owns four neighbouring elements, or one where y may not be taken by fours.
#pragma once
#include "tensor.cuh"

struct PartsParams {
  Tensor y;
  Tensor other;
  uint64_t parts;  // f32 [count][y.len]
  uint32_t count;
  uint32_t adds;    // whether other is added
  uint32_t vector;  // whether y.len is a multiple of 4 and y and other may be read and written by fours
  uint32_t unused;
};

__device__ __forceinline__ void add_parts(const PartsParams& p) {
  const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
  const float* parts = reinterpret_cast<const float*>(p.parts);
  if (p.vector) {
    const uint32_t i = 4 * thread;
    if (i >= p.y.len) return;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
    for (uint32_t z = 0; z < p.count; z++) {
      const float4 v = *reinterpret_cast<const float4*>(parts + size_t(z) * p.y.len + i);
      sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
    }
    if (p.adds) {
      const float4 v = p.other.load4(i);
      sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
    }
    p.y.store4(i, sum);
  } else if (thread < p.y.len) {
    float sum = 0.0f;
#pragma unroll 4
    for (uint32_t z = 0; z < p.count; z++) sum += parts[size_t(z) * p.y.len + thread];
    p.y.store(thread, sum + (p.adds ? p.other.load(thread) : 0.0f));
  }
}
