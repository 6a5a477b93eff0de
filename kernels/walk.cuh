// A walk over a tensor [rows, channels] for kernels of 256 threads with one value per channel.
//
// A thread owns `width` (4 or 1) adjacent channels, whose tables stay in its registers; `lanes` threads side
// by side own adjacent channels, so that a warp reads memory without gaps for many channels and for few. A
// block is 256 / lanes such lines of threads; blockIdx.y is the tile of lanes · width channels; the lines of
// all blocks of a tile take the rows in turn, U at a time. Sums are added in a thread, and then over the
// lines of the block as a tree: always in one order.
#pragma once
#include "tensor.cuh"

struct Walk {
  uint32_t rows;
  uint32_t channels;
  uint32_t width;  // 4 needs channels % 4 == 0 and aligned tensors
  uint32_t lanes;  // at most 256
};

constexpr uint32_t THREADS = 256;

// A thread's place: its channels, and U of its rows at a time.
template <int W, int U>
struct Walker {
  const Walk& walk;
  uint32_t lane, line, lines;  // lane in the row of threads, its number in the block, how many there are
  uint32_t channel;            // the first of W
  uint32_t row, step;          // the first of the U rows, and how far apart they are

  __device__ __forceinline__ explicit Walker(const Walk& w) : walk(w) {
    lane = threadIdx.x % walk.lanes;
    line = threadIdx.x / walk.lanes;
    lines = THREADS / walk.lanes;
    channel = (blockIdx.y * walk.lanes + lane) * W;
    row = blockIdx.x * lines + line;
    step = gridDim.x * lines;
  }
  // Whether the thread has channels. The threads that are left over when lanes do not divide 256 have none.
  __device__ __forceinline__ bool inside() const { return line < lines && channel < walk.channels; }
  __device__ __forceinline__ bool more() const { return row < walk.rows; }
  __device__ __forceinline__ void next() { row += U * step; }
  __device__ __forceinline__ bool has(int u) const { return row + u * step < walk.rows; }
  __device__ __forceinline__ uint32_t at(int u) const {
    return (row + u * step) * walk.channels + channel;
  }

  // The thread's channels of U rows, all loads before the first use; 0 behind the last row.
  __device__ __forceinline__ void load(const Tensor& t, float (&x)[U][W]) const {
    if constexpr (W == 1) {
#pragma unroll
      for (int u = 0; u < U; u++) x[u][0] = has(u) ? t.load(at(u)) : 0.0f;
    } else if (t.type == F32) {
#pragma unroll
      for (int u = 0; u < U; u++) {
        float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (has(u)) v = *reinterpret_cast<const float4*>(t.of<const float>() + at(u));
        x[u][0] = v.x, x[u][1] = v.y, x[u][2] = v.z, x[u][3] = v.w;
      }
    } else {
      uint2 v[U];
#pragma unroll
      for (int u = 0; u < U; u++) {
        v[u] = make_uint2(0, 0);
        if (has(u)) v[u] = *reinterpret_cast<const uint2*>(t.of<const bf16>() + at(u));
      }
#pragma unroll
      for (int u = 0; u < U; u++) {
        x[u][0] = __uint_as_float(v[u].x << 16), x[u][1] = __uint_as_float(v[u].x & 0xffff0000u);
        x[u][2] = __uint_as_float(v[u].y << 16), x[u][3] = __uint_as_float(v[u].y & 0xffff0000u);
      }
    }
  }

  __device__ __forceinline__ void store(const Tensor& t, const float (&x)[U][W]) const {
#pragma unroll
    for (int u = 0; u < U; u++) {
      if (!has(u)) continue;
      if constexpr (W == 1)
        t.store(at(u), x[u][0]);
      else
        t.store4(at(u), make_float4(x[u][0], x[u][1], x[u][2], x[u][3]));
    }
  }

  // Entries of a table [.., c] of F32 for the thread's channels, from `offset` on.
  __device__ __forceinline__ void table(const Tensor& t, uint32_t offset, float (&x)[W]) const {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = t.of<const float>()[offset + channel + i];
  }

  // Adds the sums of the block's rows of threads, and writes them as row blockIdx.x of [.., 2, c]. All
  // threads of the block come here, those without channels with sums of 0.
  __device__ __forceinline__ void write_sums(const Tensor& parts, const float (&first)[W],
                                             const float (&second)[W]) const {
    __shared__ float sums[2 * W][THREADS];
    const uint32_t thread = threadIdx.x;
#pragma unroll
    for (int i = 0; i < W; i++) sums[i][thread] = first[i], sums[W + i][thread] = second[i];
    for (uint32_t reach = lines; reach > 1;) {
      const uint32_t half = (reach + 1) / 2;
      __syncthreads();
      if (line + half < reach) {
#pragma unroll
        for (int i = 0; i < 2 * W; i++) sums[i][thread] += sums[i][thread + half * walk.lanes];
      }
      reach = half;
    }
    if (line == 0 && inside()) {
      float* row = parts.of<float>() + 2 * uint64_t(blockIdx.x) * walk.channels;
#pragma unroll
      for (int i = 0; i < W; i++) {
        row[channel + i] = sums[i][thread];
        row[walk.channels + channel + i] = sums[W + i][thread];
      }
    }
  }
};
