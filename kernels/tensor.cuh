// Tensors as kernels see them, and how a kernel is declared.
//
// Every kernel takes one struct of parameters by value, so that a launch is a name, a grid and some bytes:
//
//   KERNEL(256, name, NameParams) { … p.x … blockIdx … threadIdx … }
//
// The struct has a twin in crates/cuda with the same fields in the same order (#[repr(C)]); a test compares
// its size with what the PTX says. Fields are Tensor, int32_t/uint32_t, float, uint64_t/int64_t and arrays
// of these; padding is written out, so that no byte is left to chance.
#pragma once
#include "ptx.cuh"

#ifndef KERNEL
#define KERNEL(threads, name, Params) \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Params p)
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#endif

// Element types. The numbers are those of crates/cuda.
enum Type : uint32_t { F32 = 0, BF16 = 1, U8 = 2 };

struct bf16 {
  uint16_t bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }
__device__ __forceinline__ bf16 to_bf16(float x) {
  return bf16{static_cast<uint16_t>(ptx::pack_bf16(x, 0.0f))};
}

// A tensor: where it begins, what its elements are, how many there are.
struct Tensor {
  uint64_t at;
  uint32_t type;
  uint32_t len;

  template <class E>
  __device__ __forceinline__ E* of() const {
    return reinterpret_cast<E*>(at);
  }
  // One element as f32, whatever the type.
  __device__ __forceinline__ float load(uint32_t i) const {
    return type == F32 ? of<const float>()[i]
           : type == BF16 ? to_float(of<const bf16>()[i])
                          : float(of<const uint8_t>()[i]);
  }
  // One element rounded to the type: F32 or BF16.
  __device__ __forceinline__ void store(uint32_t i, float x) const {
    if (type == F32)
      of<float>()[i] = x;
    else
      of<bf16>()[i] = to_bf16(x);
  }
  // Four elements from a multiple of 4 on. Tensors begin at multiples of 64 bytes; views may not, so whoever
  // uses these looks first (`aligned`).
  __device__ __forceinline__ float4 load4(uint32_t i) const {
    if (type == F32) return *reinterpret_cast<const float4*>(of<const float>() + i);
    const uint2 u = *reinterpret_cast<const uint2*>(of<const bf16>() + i);
    return make_float4(__uint_as_float(u.x << 16), __uint_as_float(u.x & 0xffff0000u),
                       __uint_as_float(u.y << 16), __uint_as_float(u.y & 0xffff0000u));
  }
  __device__ __forceinline__ void store4(uint32_t i, float4 x) const {
    if (type == F32)
      *reinterpret_cast<float4*>(of<float>() + i) = x;
    else
      *reinterpret_cast<uint2*>(of<bf16>() + i) =
          make_uint2(ptx::pack_bf16(x.x, x.y), ptx::pack_bf16(x.z, x.w));
  }
  // Whether load4 and store4 may be used at multiples of 4.
  __device__ __forceinline__ bool aligned() const { return type != U8 && at % 16 == 0; }
};

// What changes from run to run of a program: written by the host before a program, read by kernels. The twin
// of crates/cuda/src/clock.rs.
struct Clock {
  uint64_t seed;
  uint64_t tick;
  uint32_t rank;
  uint32_t world;
  uint64_t unused;
  float scalars[56];  // tape::Clock::scalars, as f32
};
