// Dgrad to images of few channels: stride² · c columns at most 16.
//
// All phases are one product. A pixel (y, x) of the features' grid and its window of all taps' offsets,
//
//   D[(n,y,x), (a,b,c)] = Σ_{i,j,k} dy[n, y + i + top, x + j + left, k] · w[k, r, s, c],
//   r = a + pad − (i + top) · stride, s likewise, zero where there is no such r and s,
//
// give the image's pixel (y · stride + a, x · stride + b). Features are read once: a block owns 8×16 pixels,
// copies them with their neighbours (the halo) to shared memory, 128 bytes of k at a time, and ldmatrix finds
// each tap's operand there. A warp owns two rows of 16 pixels.
#pragma once
#include "conv.cuh"

template <class MATH>
struct HaloTile {
  using Math = MATH;
  using Element = typename MATH::Element;
  static constexpr bool A_K = true, B_K = true;
  static constexpr int HIGH = 8, WIDE = 16, COLUMNS = 16, THREADS = 128;
  static constexpr int SLAB = 128 / int(sizeof(Element));  // elements of k at a time
  static constexpr int SQUARES_M = 2, SQUARES_N = 2;

  // Byte offset of a chunk of 16 bytes: rows of 128 bytes, chunks permuted by the row's number.
  static __device__ __forceinline__ int chunk(int row, int chunk) { return row * 128 + (chunk ^ (row & 7)) * 16; }
};

// Offsets of features that the taps of one axis meet, from `first` on.
struct HaloAxis {
  int first, count;

  __device__ __forceinline__ HaloAxis(int size, int pad, int stride) {
    const int behind = size - 1 - pad;
    first = behind >= 0 ? -(behind / stride) : (-behind + stride - 1) / stride;
    count = (stride - 1 + pad) / stride - first + 1;
  }
};

// The channels from `slab` on of the features around pixel (y0, x0) of an image.
template <class T>
__device__ __forceinline__ void load_halo(const ConvParams& p, unsigned char* halo, HaloAxis rows, HaloAxis columns,
                                          int image, int y0, int x0, int slab) {
  using E = typename T::Element;
  const E* features = p.a.of<const E>();
  const int wide = T::WIDE + columns.count - 1, pixels = (T::HIGH + rows.count - 1) * wide;
  const int k = slab + int(threadIdx.x % 8) * (16 / int(sizeof(E)));
  for (int i = threadIdx.x / 8; i < pixels; i += T::THREADS / 8) {
    const int y = y0 + rows.first + i / wide, x = x0 + columns.first + i % wide;
    const bool is = k < p.k && y >= 0 && y < p.p && x >= 0 && x < p.q;
    ptx::cp_async16(halo + T::chunk(i, threadIdx.x % 8), features + (is ? ((image * p.p + y) * p.q + x) * p.k + k : 0),
                    is);
  }
  ptx::cp_async_commit();
}

// The same channels of the weights, [taps][16 columns][k].
template <class T>
__device__ __forceinline__ void load_taps(const ConvParams& p, unsigned char* weights, HaloAxis rows, HaloAxis columns,
                                          int slab) {
  using E = typename T::Element;
  for (int i = threadIdx.x; i < rows.count * columns.count * T::COLUMNS * 8; i += T::THREADS)
    reinterpret_cast<uint4*>(weights)[i] = make_uint4(0, 0, 0, 0);
  __syncthreads();
  const int each = p.r * p.s * p.c, from = slab * each, end = min(slab + T::SLAB, p.k) * each;
#pragma unroll 4
  for (int at = from + int(threadIdx.x); at < end; at += T::THREADS) {
    uint32_t s = uint32_t(at) / uint32_t(p.c);
    const int channel = at - int(s) * p.c;
    uint32_t r = divide(p.by_s, s);
    const int k = int(r) / p.r;
    r -= k * p.r;
    const int a = (int(r) - p.pad % p.stride + p.stride) % p.stride;
    const int b = (int(s) - p.pad % p.stride + p.stride) % p.stride;
    const int i = (a + p.pad - int(r)) / p.stride - rows.first, j = (b + p.pad - int(s)) / p.stride - columns.first;
    const int row = (i * columns.count + j) * T::COLUMNS + (a * p.stride + b) * p.c + channel;
    const int byte = (k - slab) * int(sizeof(E));
    *reinterpret_cast<E*>(weights + T::chunk(row, byte / 16) + byte % 16) = T::Math::of(p.b.load(at));
  }
}

// acc += the products of all taps with the channels that lie in shared memory.
template <class T>
__device__ __forceinline__ void multiply_taps(Accumulators<T>& acc, const unsigned char* halo,
                                              const unsigned char* weights, HaloAxis rows, HaloAxis columns, int halves) {
  const int lane = threadIdx.x % 32, wide = T::WIDE + columns.count - 1;
  const int column = lane % 8 + lane / 16 * 8;
  for (int i = 0; i < rows.count; i++)
    for (int j = 0; j < columns.count; j++) {
      const int first = (int(threadIdx.x / 32) * 2 + i) * wide + lane % 16 + j;
      const int tap = (i * columns.count + j) * T::COLUMNS + column;
#pragma unroll 4
      for (int half = 0; half < halves; half++) {
        TensorFragments<T> f;
        ptx::ldmatrix_x4(f.a[0], halo + T::chunk(first, 2 * half + lane / 16));
        ptx::ldmatrix_x4(f.a[1], halo + T::chunk(first + wide, 2 * half + lane / 16));
        ptx::ldmatrix_x4(f.b[0], weights + T::chunk(tap, 2 * half + lane / 8 % 2));
        T::Math::template round<T>(f);
        f.multiply(acc);
      }
    }
}

// Stores a tile as the image has it, row by row. The finish leaves no sums.
template <class T>
__device__ __forceinline__ void store_image(const ConvParams& p, const Accumulators<T>& acc, float* staged, int image,
                                            int y0, int x0) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 2; j++)
#pragma unroll
      for (int h = 0; h < 2; h++)
        *reinterpret_cast<float2*>(staged + (int(threadIdx.x / 32) * 32 + 16 * i + 8 * h + lane / 4) * T::COLUMNS +
                                   8 * j + 2 * (lane % 4)) = make_float2(acc[i][j][2 * h], acc[i][j][2 * h + 1]);
  __syncthreads();
  const Finish& f = p.finish;
  const float* bias = reinterpret_cast<const float*>(f.bias);
  const uint32_t of_pixel = p.stride * p.c, of_row = T::WIDE * of_pixel;
  const uint32_t all = T::HIGH * p.stride * of_row;
  for (uint32_t i = threadIdx.x; i < all; i += T::THREADS) {
    const uint32_t row = i / of_row, x = i % of_row / of_pixel, column = i % of_pixel;
    const uint32_t y = row / p.stride, a = row % p.stride, channel = column % p.c;
    if (y0 + int(y) >= p.p || x0 + int(x) >= p.q) continue;
    float v = staged[(y * T::WIDE + x) * T::COLUMNS + a * of_pixel + column];
    const uint32_t at = ((image * p.h + y0 * p.stride + row) * p.w + x0 * p.stride) * p.c + i % of_row;
    if (f.kind == FINISH_ACCUMULATE) v += f.other.load(at);
    if (f.kind == FINISH_GATE) v = f.other.load(at) > 0.0f ? v : f.slope * v;
    if (f.kind == FINISH_ACTIVATE) {
      if (f.bias) v += bias[channel];
      v = f.activation == TANH      ? apply<TANH>(v, v, 0.0f, 0.0f)
          : f.activation == SIGMOID ? apply<SIGMOID>(v, v, 0.0f, 0.0f)
                                    : apply<LEAKY>(v, v, f.slope, 0.0f);
    }
    f.y.store(at, v);
  }
}

template <class Math>
__device__ __forceinline__ void conv_halo(const ConvParams& p) {
  DYNAMIC_SHARED(shared);
  using T = HaloTile<Math>;
  const HaloAxis rows(p.r, p.pad, p.stride), columns(p.s, p.pad, p.stride);
  unsigned char* weights = shared + (T::HIGH + rows.count - 1) * (T::WIDE + columns.count - 1) * 128;
  const int tiles_x = (p.q + T::WIDE - 1) / T::WIDE, tiles_y = (p.p + T::HIGH - 1) / T::HIGH;
  const int image = blockIdx.x / (tiles_x * tiles_y), tile = blockIdx.x % (tiles_x * tiles_y);
  const int y0 = tile / tiles_x * T::HIGH, x0 = tile % tiles_x * T::WIDE;
  Accumulators<T> acc = {};
#pragma unroll 1
  for (int slab = 0; slab < p.k; slab += T::SLAB) {
    __syncthreads();  // all have read the slab before
    load_halo<T>(p, shared, rows, columns, image, y0, x0, slab);
    load_taps<T>(p, weights, rows, columns, slab);
    ptx::cp_async_wait<0>();
    __syncthreads();
    const int left = (min(p.k - slab, T::SLAB) * int(sizeof(typename T::Element)) + 31) / 32;
    multiply_taps<T>(acc, shared, weights, rows, columns, left);
  }
  __syncthreads();
  store_image<T>(p, acc, reinterpret_cast<float*>(shared), image, y0, x0);
}
