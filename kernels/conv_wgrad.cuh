// Wgrad. Rows of the product are channels of y, columns taps and channels of x, and k runs over pixels.
//
// A block owns T::M × T::N elements of the weights: blockIdx.x counts both, columns first. Pixels are split
// into parts, blockIdx.z: each leaves its sum in a workspace [parts][k][r·s·c], which conv.cu adds up in
// order. One part alone stores the result. Operands come by 16 bytes (CHUNKS), y by 16 bytes and x by
// elements (THIN, for images of few channels), or one by one (ELEMENTS).
#pragma once
#include "conv_gather.cuh"

template <class T, Operands OPERANDS>
__device__ __forceinline__ void conv_wgrad(const ConvParams& p) {
  DYNAMIC_SHARED(shared);
  using E = typename T::Element;
  static_assert(!T::A_K && !T::B_K, "pixels are the outer extent of both operands");
  const Window window{p.h, p.w, p.c, p.r, p.s, p.stride, -p.pad, -p.pad};
  const int columns = p.r * p.s * p.c;
  const uint32_t pixels = p.n * p.p * p.q;
  const uint32_t tiles_n = (columns + T::N - 1) / T::N;
  const uint32_t m0 = blockIdx.x / tiles_n * T::M, n0 = blockIdx.x % tiles_n * T::N;
  const int all_steps = (pixels + T::K - 1) / T::K, first = blockIdx.z * p.steps;
  const int steps = max(min(p.steps, all_steps - first), 0);
  uint32_t pixel = first * T::K;  // of the step to be loaded
  Accumulators<T> acc;

  auto lanes_place = [&] {
    const uint32_t lanes = pixel + threadIdx.x % 32;
    return window.place(lanes, lanes < pixels, p.by_p, p.by_q);
  };
  const RowsAcrossK<typename T::A, E, T::THREADS> a(p.a.of<const E>(), m0, p.k, p.k);
  if constexpr (OPERANDS == CHUNKS) {
    const GatherTransposed<typename T::B, E, T::THREADS> b(p.b.of<const E>(), window, n0, p.by_s, p.by_channels);
    multiply<T>(acc, shared, steps, [&](unsigned char* stage) {
      a.load(stage, 0, pixel, pixels - pixel);
      b.load(stage + T::A::BYTES, lanes_place());
      pixel += T::K;
    });
  } else {
    using FillA = Elements<typename T::A, typename T::Math, T::THREADS>;
    using FillB = Elements<typename T::B, typename T::Math, T::THREADS>;
    uint32_t channel = n0 + FillB::column();
    uint32_t s = divide(p.by_channels, channel);
    const int r = divide(p.by_s, s);
    const int offset = (r * p.w + int(s)) * p.c + int(channel);
    const int bits = r < p.r ? int(Window::bits(r, s)) : -1;
    const uint32_t m = m0 + FillA::column();
    multiply<T>(acc, shared, steps, [&](unsigned char* stage) {
      if constexpr (OPERANDS == THIN)
        a.load(stage, 0, pixel, pixels - pixel);
      else
        FillA::fill(stage, p.a, [&](int row, uint32_t& index) {
          index = (pixel + row) * p.k + m;
          return pixel + row < pixels && m < uint32_t(p.k);
        });
      const int2 place = lanes_place();
      FillB::fill(stage + T::A::BYTES, p.b, [&](int row, uint32_t& index) {
        index = __shfl_sync(0xffffffffu, place.x, row) + offset;
        return (__shfl_sync(0xffffffffu, place.y, row) & bits) == bits;
      });
      pixel += T::K;
    });
  }
  store<T>(p.finish, acc, shared, m0, p.k, n0, columns, blockIdx.z * p.k);
}
