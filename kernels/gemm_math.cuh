// How a step of gemm.cuh is multiplied: with bf16 or tf32 on tensor cores, or with f32 on CUDA cores.
#pragma once
#include "gemm.cuh"

// One half step (32 bytes of k) of a warp's operands, as mma takes them: a[i] is 16 rows of A, b[j] 16
// columns of B (two registers for each 8).
template <class T>
struct TensorFragments {
  using Math = typename T::Math;
  uint32_t a[T::SQUARES_M][4];
  uint32_t b[T::SQUARES_N / 2][4];

  __device__ __forceinline__ void load(const unsigned char* stage, int half) {
    const unsigned char* stage_b = stage + T::A::BYTES;
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < T::SQUARES_M; i++) {
      const int m = T::warp_m() + 16 * i;
      if constexpr (T::A_K)
        ptx::ldmatrix_x4(a[i], stage + T::A::chunk(m + lane % 16, 2 * half + lane / 16));
      else
        Math::template load_a_across<T>(a[i], stage, m, half, lane);
    }
#pragma unroll
    for (int j = 0; j < T::SQUARES_N / 2; j++) {
      const int n = T::warp_n() + 16 * j;
      if constexpr (T::B_K)
        ptx::ldmatrix_x4(b[j], stage_b + T::B::chunk(n + lane % 8 + lane / 16 * 8, 2 * half + lane / 8 % 2));
      else
        Math::template load_b_across<T>(b[j], stage_b, n, half, lane);
    }
    Math::template round<T>(*this);
  }

  __device__ __forceinline__ void multiply(Accumulators<T>& acc) const {
#pragma unroll
    for (int i = 0; i < T::SQUARES_M; i++)
#pragma unroll
      for (int j = 0; j < T::SQUARES_N; j++)
        Math::mma(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
  }
};

struct Bf16 {
  using Element = bf16;
  static constexpr bool BUFFERED = true;
  template <class T>
  using Fragments = TensorFragments<T>;

  static __device__ __forceinline__ Element of(float x) { return to_bf16(x); }

  template <class T>
  static __device__ __forceinline__ void load_a_across(uint32_t (&a)[4], const unsigned char* stage, int m, int half,
                                                       int lane) {
    ptx::ldmatrix_x4_trans(a, stage + T::A::chunk(16 * half + lane % 8 + lane / 16 * 8, m / 8 + lane / 8 % 2));
  }
  template <class T>
  static __device__ __forceinline__ void load_b_across(uint32_t (&b)[4], const unsigned char* stage, int n, int half,
                                                       int lane) {
    ptx::ldmatrix_x4_trans(b, stage + T::B::chunk(16 * half + lane % 16, n / 8 + lane / 16));
  }
  template <class T>
  static __device__ __forceinline__ void round(TensorFragments<T>&) {}
  static __device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_bf16(d, a, b0, b1);
  }
};

struct Tf32 {
  using Element = float;
  static constexpr bool BUFFERED = true;
  template <class T>
  using Fragments = TensorFragments<T>;

  static __device__ __forceinline__ Element of(float x) { return x; }

  // There is no transposing load of 32-bit elements: one by one.
  template <class T>
  static __device__ __forceinline__ void load_a_across(uint32_t (&a)[4], const unsigned char* stage, int m, int half,
                                                       int lane) {
#pragma unroll
    for (int e = 0; e < 4; e++)
      a[e] = *reinterpret_cast<const uint32_t*>(
          stage + T::A::element(8 * half + lane % 4 + e / 2 * 4, m + lane / 4 + e % 2 * 8));
  }
  template <class T>
  static __device__ __forceinline__ void load_b_across(uint32_t (&b)[4], const unsigned char* stage, int n, int half,
                                                       int lane) {
#pragma unroll
    for (int e = 0; e < 4; e++)
      b[e] = *reinterpret_cast<const uint32_t*>(
          stage + T::B::element(8 * half + lane % 4 + e % 2 * 4, n + lane / 4 + e / 2 * 8));
  }
  template <class T>
  static __device__ __forceinline__ void round(TensorFragments<T>& f) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
#pragma unroll
      for (int i = 0; i < T::SQUARES_M; i++) f.a[i][e] = ptx::to_tf32(__uint_as_float(f.a[i][e]));
#pragma unroll
      for (int j = 0; j < T::SQUARES_N / 2; j++) f.b[j][e] = ptx::to_tf32(__uint_as_float(f.b[j][e]));
    }
  }
  static __device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_tf32(d, a, b0, b1);
  }
};

// Multiply-adds on CUDA cores, each lane for the elements of D that mma would give it.
struct Full32 {
  using Element = float;
  static constexpr bool BUFFERED = false;

  static __device__ __forceinline__ Element of(float x) { return x; }

  // Four k of one row of A (or column of B).
  template <class P, bool ALONG_K>
  static __device__ __forceinline__ void four(float (&v)[4], const unsigned char* stage, int row, int k) {
    if constexpr (ALONG_K) {
      const float4 u = *reinterpret_cast<const float4*>(stage + P::element(row, k));
      v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++) v[e] = *reinterpret_cast<const float*>(stage + P::element(k + e, row));
    }
  }

  template <class T>
  static __device__ __forceinline__ void multiply(Accumulators<T>& acc, const unsigned char* stage) {
    const int lane = threadIdx.x % 32;
#pragma unroll 1
    for (int k = 0; k < T::K; k += 4) {
      float b[T::SQUARES_N][2][4];
#pragma unroll
      for (int j = 0; j < 2 * T::SQUARES_N; j++)
        four<typename T::B, T::B_K>(b[j / 2][j % 2], stage + T::A::BYTES,
                                    T::warp_n() + 8 * (j / 2) + 2 * (lane % 4) + j % 2, k);
#pragma unroll
      for (int i = 0; i < 2 * T::SQUARES_M; i++) {
        float a[4];
        four<typename T::A, T::A_K>(a, stage, T::warp_m() + 8 * i + lane / 4, k);
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
          for (int j = 0; j < 2 * T::SQUARES_N; j++) {
            float& d = acc[i / 2][j / 2][i % 2 * 2 + j % 2];
            d = fmaf(a[e], b[j / 2][j % 2][e], d);
          }
      }
    }
  }
};
