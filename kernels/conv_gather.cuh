// Fprop and dgrad. Rows of the product are pixels of the result, columns its channels, and k runs over taps
// and channels of the window that a pixel sees.
//
// A block owns T::M pixels and T::N channels: blockIdx.x counts both, channels first; blockIdx.z is the
// phase of a dgrad. Operands come
//   CHUNKS    by 16 bytes: channels of both sides are whole chunks;
//   THIN      a by 16 bytes, w by elements: for dgrads to images of few channels;
//   ELEMENTS  one by one, of any type: for images and odd channels. k then counts (r, s, channel) densely.
#pragma once
#include "conv.cuh"

enum Operands { CHUNKS, THIN, ELEMENTS };

// What the two passes differ in.
template <bool DGRAD>
struct GatherGeometry {
  Window window;
  int pixels_high, pixels_wide;  // of the result, in dgrad of one phase
  int result;                    // channels of the result
  int phase_h, phase_w, first_r, first_s;

  __device__ __forceinline__ explicit GatherGeometry(const ConvParams& p) : pixels_high(p.p), pixels_wide(p.q) {
    if constexpr (DGRAD) {
      phase_h = int(blockIdx.z) / p.stride;
      phase_w = int(blockIdx.z) % p.stride;
      window.height = p.p, window.width = p.q, window.channels = p.k, window.step = 1;
      first_r = axis(p, phase_h, p.r, window.rows, window.top);
      first_s = axis(p, phase_w, p.s, window.columns, window.left);
      result = p.c;
    } else {
      phase_h = phase_w = first_r = first_s = 0;
      window = Window{p.h, p.w, p.c, p.r, p.s, p.stride, -p.pad, -p.pad};
      result = p.k;
    }
  }

  // Taps r, r − stride, … of `size` meet pixels of this phase, from the largest on: the window ascends while
  // they descend. Gives the largest.
  static __device__ __forceinline__ int axis(const ConvParams& p, int phase, int size, int& taps, int& from) {
    const int least = (phase + p.pad) % p.stride;
    taps = least < size ? (size - least + p.stride - 1) / p.stride : 0;
    from = (phase + p.pad - least) / p.stride - (taps - 1);
    return least + (taps - 1) * p.stride;
  }

  // The tap of the kernel that is tap (r, s) of the window.
  __device__ __forceinline__ int tap(const ConvParams& p, int r, int s) const {
    return DGRAD ? (first_r - r * p.stride) * p.s + first_s - s * p.stride : r * p.s + s;
  }

  // The row of the result that a pixel is.
  __device__ __forceinline__ uint32_t row(const ConvParams& p, uint32_t pixel) const {
    if (!DGRAD || p.stride == 1) return pixel;
    uint32_t x = pixel, y = divide(p.by_q, x);
    const uint32_t image = divide(p.by_p, y);
    return (image * p.h + y * p.stride + phase_h) * p.w + x * p.stride + phase_w;
  }
};

template <class T, bool DGRAD, Operands OPERANDS>
__device__ __forceinline__ void conv_gather(const ConvParams& p) {
  DYNAMIC_SHARED(shared);
  using E = typename T::Element;
  static_assert(T::A_K && T::B_K == !(DGRAD && OPERANDS == CHUNKS), "how operands lie");
  const GatherGeometry<DGRAD> g(p);
  const uint32_t pixels = p.n * g.pixels_high * g.pixels_wide;
  const uint32_t tiles_n = (g.result + T::N - 1) / T::N;
  const uint32_t tile_m = blockIdx.x / tiles_n, m0 = tile_m * T::M, n0 = blockIdx.x % tiles_n * T::N;
  const int taps = g.window.rows * g.window.columns, all_taps = p.r * p.s;
  Accumulators<T> acc;

  if constexpr (OPERANDS == ELEMENTS) {
    int2* places = reinterpret_cast<int2*>(shared + T::SHARED);
    for (int i = threadIdx.x; i < T::M; i += T::THREADS)
      places[i] = g.window.place(m0 + i, m0 + i < pixels, p.by_p, p.by_q);
    __syncthreads();
    using FillA = Elements<typename T::A, typename T::Math, T::THREADS, DGRAD ? 8 : 8>;
    using FillB = Elements<typename T::B, typename T::Math, T::THREADS, DGRAD ? 4 : 8>;
    int k = FillA::column();
    multiply<T>(acc, shared, (taps * g.window.channels + T::K - 1) / T::K, [&](unsigned char* stage) {
      uint32_t channel = k;
      const int tap = divide(p.by_channels, channel);
      const int r = DGRAD ? tap / max(g.window.columns, 1) : int(p.by_s.quotient(tap));
      const int s = tap - r * g.window.columns;
      const int offset = (r * g.window.width + s) * g.window.channels + int(channel);
      const int bits = tap < taps ? int(Window::bits(r, s)) : -1;
      FillA::fill(stage, p.a, [&](int row, uint32_t& index) {
        const int2 place = places[row];
        index = place.x + offset;
        return (place.y & bits) == bits;
      });
      const int of = g.tap(p, r, s);
      FillB::fill(stage + T::A::BYTES, p.b, [&](int row, uint32_t& index) {
        const int n = n0 + row;
        index = DGRAD ? (int(channel) * all_taps + of) * p.c + n : (n * all_taps + of) * p.c + int(channel);
        return tap < taps && n < g.result;
      });
      k += T::K;
    });
  } else {
    Taps<T::K> at(g.window.columns, g.window.channels);
    const Gather<typename T::A, E, T::THREADS> a(p.a.of<const E>(), g.window, m0, pixels, p.by_p, p.by_q);
    const int steps = taps * ((g.window.channels + T::K - 1) / T::K);
    if constexpr (OPERANDS == THIN) {
      using FillB = Elements<typename T::B, typename T::Math, T::THREADS>;
      multiply<T>(acc, shared, steps, [&](unsigned char* stage) {
        a.load(stage, g.window, at);
        const int channel = at.channel + FillB::column(), of = g.tap(p, at.r, at.s);
        FillB::fill(stage + T::A::BYTES, p.b, [&](int row, uint32_t& index) {
          index = (channel * all_taps + of) * p.c + int(n0) + row;
          return channel < g.window.channels && int(n0) + row < g.result;
        });
        at.next();
      });
    } else if constexpr (DGRAD) {
      const RowsAcrossK<typename T::B, E, T::THREADS> b(p.b.of<const E>(), n0, p.c, all_taps * p.c);
      multiply<T>(acc, shared, steps, [&](unsigned char* stage) {
        a.load(stage, g.window, at);
        b.load(stage + T::A::BYTES, g.tap(p, at.r, at.s) * p.c, at.channel, g.window.channels - at.channel);
        at.next();
      });
    } else {
      const RowsAlongK<typename T::B, E, T::THREADS> b(p.b.of<const E>(), n0, p.k, all_taps * p.c);
      multiply<T>(acc, shared, steps, [&](unsigned char* stage) {
        a.load(stage, g.window, at);
        b.load(stage + T::A::BYTES, (at.r * p.s + at.s) * p.c + at.channel, p.c - at.channel);
        at.next();
      });
    }
  }
  const uint32_t tiles_m = (pixels + T::M - 1) / T::M;
  finish<T>(p.finish, acc, shared, m0, pixels, n0, g.result, blockIdx.z * tiles_m + tile_m,
            [&](uint32_t pixel) { return g.row(p, pixel); });
}
