// Sums over the threads of a block, in an order that is always the same.
#pragma once
#include "tensor.cuh"

// The sum over a block of x. All threads call it; thread 0 has the sum.
template <uint32_t THREADS>
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float of_warps[THREADS / 32];
#pragma unroll
  for (uint32_t d = 16; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = of_warps[0];
#pragma unroll
  for (uint32_t w = 1; w < THREADS / 32; ++w) sum += of_warps[w];
  return sum;
}

__device__ __forceinline__ float sum4(float4 x) { return (x.x + x.y) + (x.z + x.w); }

__device__ __forceinline__ float4 add4(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
