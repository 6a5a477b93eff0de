// The matrix product behind convolutions and matmul:
//
//   D[m,n] = Σ_k A[m,k] · B[k,n],  accumulated in f32.
//
// A block of four warps owns M × N elements of D, a warp WARP_M × WARP_N of them, in the layout of
// mma.m16n8: for the 16×8 square (i, j) lane l holds rows l/4 and l/4 + 8, columns 2·(l mod 4) and the next.
//
// The sum runs in steps of 64 bytes of k (32 elements of bf16, 16 of f32). A ring of STAGES steps lies in
// shared memory: while one is multiplied, cp.async fills those to come. One barrier a step.
//
// An operand lies in shared memory the way it lies in global memory: ALONG_K as rows of 64 bytes of k, one
// for each m (or n), otherwise as rows of m (or n), one for each k; then ldmatrix transposes. The 16-byte
// chunks of a row are permuted by the row's number, so that neither cp.async nor ldmatrix meets a bank twice.
#pragma once
#include "tensor.cuh"

// Where things lie in an operand's stage.
template <class Element, int EXTENT, bool ALONG_K>
struct Place {
  static constexpr int ROWS = ALONG_K ? EXTENT : 64 / int(sizeof(Element));
  static constexpr int CHUNKS = ALONG_K ? 4 : EXTENT * int(sizeof(Element)) / 16;
  static constexpr int BYTES = EXTENT * 64;

  // Byte offset of a chunk. Rows of k in f32 are read one by one by four groups of eight lanes, rows that
  // ldmatrix reads by eights: hence the two steps of the permutation.
  static __device__ __forceinline__ int chunk(int row, int chunk) {
    const int turn = CHUNKS >= 8 ? (ALONG_K || sizeof(Element) == 2 ? row : 2 * row) & 7
                     : CHUNKS == 4 ? (row >> 1) & 3
                     : CHUNKS == 2 ? (row >> 2) & 1
                                   : 0;
    return (row * CHUNKS + (chunk ^ turn)) * 16;
  }
  static __device__ __forceinline__ int element(int row, int column) {
    const int byte = column * int(sizeof(Element));
    return chunk(row, byte / 16) + byte % 16;
  }
};

// Sizes of a product. MATH is one of gemm_math.cuh.
template <class MATH, int M_, int N_, int WARPS_M, int WARPS_N, int STAGES_, bool A_ALONG_K, bool B_ALONG_K>
struct Tile {
  using Math = MATH;
  using Element = typename MATH::Element;
  using A = Place<Element, M_, A_ALONG_K>;
  using B = Place<Element, N_, B_ALONG_K>;
  static constexpr bool A_K = A_ALONG_K, B_K = B_ALONG_K;
  static constexpr int M = M_, N = N_, STAGES = STAGES_;
  static constexpr int K = 64 / int(sizeof(Element));      // elements of a step
  static constexpr int CHUNK = 16 / int(sizeof(Element));  // elements of 16 bytes
  static constexpr int THREADS = 32 * WARPS_M * WARPS_N;
  static constexpr int WARP_M = M_ / WARPS_M, WARP_N = N_ / WARPS_N;
  static constexpr int SQUARES_M = WARP_M / 16, SQUARES_N = WARP_N / 8;
  static constexpr int STAGE = A::BYTES + B::BYTES;
  // Shared memory: the ring, and afterwards D as f32. What a kernel keeps besides lies behind.
  static constexpr int SHARED = STAGES * STAGE > M * N * 4 ? STAGES * STAGE : M * N * 4;
  static_assert(WARP_M % 16 == 0 && WARP_N % 16 == 0, "a warp owns whole squares");

  static __device__ __forceinline__ int warp_m() { return int(threadIdx.x / 32) % WARPS_M * WARP_M; }
  static __device__ __forceinline__ int warp_n() { return int(threadIdx.x / 32) / WARPS_M * WARP_N; }
};

template <class T>
using Accumulators = float[T::SQUARES_M][T::SQUARES_N][4];

// acc += A · B over `steps` steps. load(stage) starts the copies of the next step to A at `stage` and B
// behind it, or stores them itself.
template <class T, class Load>
__device__ __forceinline__ void multiply(Accumulators<T>& acc, unsigned char* shared, int steps, Load load) {
  constexpr int AHEAD = T::STAGES - 1;
#pragma unroll
  for (int i = 0; i < T::SQUARES_M; i++)
#pragma unroll
    for (int j = 0; j < T::SQUARES_N; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) acc[i][j][e] = 0.0f;

#pragma unroll 1
  for (int step = 0; step < AHEAD; step++) {
    if (step < steps) load(shared + step * T::STAGE);
    ptx::cp_async_commit();
  }
  int reads = 0, writes = AHEAD;  // stages
  auto next = [](int& stage) { stage = stage + 1 == T::STAGES ? 0 : stage + 1; };
  auto load_ahead = [&](int step) {
    if (step + AHEAD < steps) load(shared + writes * T::STAGE);
    ptx::cp_async_commit();
    next(writes);
  };
  auto arrived = [] {
    ptx::cp_async_wait<AHEAD - 1>();
    __syncthreads();
  };

  if constexpr (T::Math::BUFFERED) {
    // Fragments of the next half step are fetched while those of this one are multiplied. The barrier
    // stands before the last half step: all have read their fragments of this stage by then, so the next
    // turn may begin to fill it.
    typename T::Math::template Fragments<T> fragments[2];
    arrived();
    fragments[0].load(shared, 0);
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      fragments[1].load(shared + reads * T::STAGE, 1);
      load_ahead(step);
      fragments[0].multiply(acc);
      next(reads);
      arrived();
      fragments[0].load(shared + reads * T::STAGE, 0);
      fragments[1].multiply(acc);
    }
  } else {
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      arrived();
      load_ahead(step);
      T::Math::template multiply<T>(acc, shared + reads * T::STAGE);
      next(reads);
    }
  }
  ptx::cp_async_wait<0>();
  __syncthreads();
}
