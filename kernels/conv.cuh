// Convolutions as matrix products (gemm.cuh). Images x [n,h,w,c], weights w [k,r,s,c], features y [n,p,q,k]:
//
//   fprop   y[n,p,q,k]  = Σ_{r,s,c} x[n, p·stride + r − pad, q·stride + s − pad, c] · w[k,r,s,c]
//   dgrad   x[n,h,w,c]  = Σ_{r,s,k} y[n, (h + pad − r)/stride, (w + pad − s)/stride, k] · w[k,r,s,c]
//   wgrad   w[k,r,s,c]  = Σ_{n,p,q} y[n,p,q,k] · x[n, p·stride + r − pad, q·stride + s − pad, c]
//
// with zeros outside, and in dgrad only whole quotients. Dgrad falls into stride² phases, by what h and w
// leave when divided by stride: each is a convolution of step 1 with the taps that meet it.
#pragma once
#include "division.cuh"
#include "gemm_finish.cuh"
#include "gemm_load.cuh"
#include "gemm_math.cuh"

struct ConvParams {
  Tensor a;  // fprop: x; dgrad and wgrad: y
  Tensor b;  // fprop and dgrad: w; wgrad: x
  Finish finish;
  int32_t n, h, w, c, p, q, k, r, s, stride, pad;
  int32_t steps;  // wgrad: steps of 64 bytes of pixels of one part; part z is blockIdx.z
  Division by_p, by_q, by_s;
  Division by_channels;  // c, or in dgrad k
};

// n becomes what is left of it; gives the quotient.
__device__ __forceinline__ uint32_t divide(const Division& by, uint32_t& n) {
  const uint32_t quotient = by.quotient(n);
  n -= quotient * by.by;
  return quotient;
}

// A window on images [n, height, width, channels]: the pixel (y, x) of the result sees taps rows × columns
// from (y·step + top, x·step + left) on.
struct Window {
  int height, width, channels, rows, columns, step, top, left;

  // Where the window of a pixel begins and which taps of it lie inside: bit r for row r, 16 + s for column
  // s. Kernels of up to 15×15.
  __device__ __forceinline__ int2 place(uint32_t pixel, bool exists, const Division& by_height,
                                        const Division& by_width) const {
    uint32_t x = pixel, y = divide(by_width, x);
    const int image = divide(by_height, y);
    const int row = int(y) * step + top, column = int(x) * step + left;
    const uint32_t bits = inside(row, height, rows) | inside(column, width, columns) << 16;
    return make_int2(((image * height + row) * width + column) * channels, exists ? int(bits) : 0);
  }
  static __device__ __forceinline__ uint32_t inside(int from, int extent, int taps) {
    const int low = max(-from, 0), high = min(extent - from, taps);
    return high <= low ? 0u : (1u << high) - (1u << low);
  }
  static __device__ __forceinline__ uint32_t bits(int r, int s) { return 1u << r | 0x10000u << s; }
};

// The taps and channels of a sum, a step at a time. A step lies within one tap, so there is no division.
template <int STEP>
struct Taps {
  int columns, channels;
  int r = 0, s = 0, channel = 0;

  __device__ __forceinline__ Taps(int columns, int channels) : columns(columns), channels(channels) {}
  __device__ __forceinline__ void next() {
    channel += STEP;
    if (channel >= channels) {
      channel = 0;
      if (++s == columns) s = 0, r++;
    }
  }
};

// Operand A of fprop and dgrad, by chunks: rows are pixels of the result.
template <class P, class E, int THREADS>
struct Gather {
  using Mine = Chunks<P, THREADS>;
  const E* base;
  int2 at[Mine::ROWS];

  __device__ __forceinline__ Gather(const E* base, const Window& window, uint32_t first, uint32_t pixels,
                                    const Division& by_height,
                                        const Division& by_width)
      : base(base) {
#pragma unroll
    for (int i = 0; i < Mine::ROWS; i++) {
      const uint32_t pixel = first + Mine::row(i);
      at[i] = window.place(pixel, pixel < pixels, by_height, by_width);
    }
  }
  template <class Steps>
  __device__ __forceinline__ void load(unsigned char* stage, const Window& window, const Steps& taps) const {
    constexpr int CHUNK = 16 / int(sizeof(E));
    const int channel = taps.channel + Mine::chunk() * CHUNK;
    const int offset = (taps.r * window.width + taps.s) * window.channels + channel;
    const int bits = channel < window.channels ? int(Window::bits(taps.r, taps.s)) : -1;
#pragma unroll
    for (int i = 0; i < Mine::ROWS; i++) {
      const bool is = (at[i].y & bits) == bits;
      ptx::cp_async16(stage + P::chunk(Mine::row(i), Mine::chunk()), base + (is ? at[i].x + offset : 0), is);
    }
  }
};

// Operand B of wgrad, by chunks: rows are pixels of y, columns are taps and channels. A lane finds the place
// of one pixel of a step, and the warp shares them.
template <class P, class E, int THREADS>
struct GatherTransposed {
  using Mine = Chunks<P, THREADS>;
  const E* base;
  int offset, bits;

  __device__ __forceinline__ GatherTransposed(const E* base, const Window& window, uint32_t column, const Division& by_columns,
                                              const Division& by_channels)
      : base(base) {
    uint32_t channel = column + Mine::chunk() * (16 / sizeof(E));
    uint32_t s = divide(by_channels, channel);
    const int r = divide(by_columns, s);
    offset = (r * window.width + int(s)) * window.channels + int(channel);
    bits = r < window.rows ? int(Window::bits(r, s)) : -1;
  }
  __device__ __forceinline__ void load(unsigned char* stage, int2 lanes_place) const {
#pragma unroll
    for (int i = 0; i < Mine::ROWS; i++) {
      const int row = Mine::row(i) % 32;
      const int at = __shfl_sync(0xffffffffu, lanes_place.x, row);
      const int inside = __shfl_sync(0xffffffffu, lanes_place.y, row);
      const bool is = (inside & bits) == bits;
      if (Mine::has(i))
        ptx::cp_async16(stage + P::chunk(Mine::row(i), Mine::chunk()), base + (is ? at + offset : 0), is);
    }
  }
};
