// Batch normalisation (Ioffe & Szegedy 2015) over x [m, c], with the activation behind it:
//
//   moments          Σ(x − r), Σ(x − r)², m with r the running mean         [2c + 1]
//   statistics       mean, istd = 1/√(var + ε) of the world's sums         [2c]
//   normalize        y = act(gain · (x − mean) · istd + shift)
//   normalize_sums   Σd, Σd·x̂ with d = dy · act'(y), x̂ = (x − mean) · istd  [2c]
//   normalize_grad   dx = gain · istd · (d − (Σd + x̂ · Σd·x̂) / count)
//
// x, y, dy, dx are F32 or BF16, everything else is F32.
//
// Kernels over [m, c] share one walk. A thread owns `width` (4 or 1) adjacent channels, whose tables stay in
// its registers; `lanes` threads side by side own adjacent channels, so that a warp reads memory without
// gaps for many channels and for few. A block is 256 / lanes such rows of threads; blockIdx.y is the tile of
// lanes · width channels; the rows of threads of all blocks of a tile take the rows of x in turn. Sums are
// added in a thread, then over the rows of threads as a tree, and `norm_fold` adds what the blocks wrote,
// in double: always in one order.
#include "tensor.cuh"

struct Walk {
  uint32_t rows;
  uint32_t channels;
  uint32_t width;  // 4 needs channels % 4 == 0 and aligned tensors
  uint32_t lanes;  // at most 256
};

struct MomentsParams {
  Tensor x, running, parts;  // parts [gridDim.x, 2, c]
  Walk walk;
};
struct NormalizeParams {
  Tensor x, stats, gain, shift, y;
  Walk walk;
  uint32_t act;
  float slope;
};
struct NormalizeSumsParams {
  Tensor dy, y, x, stats, parts;  // y is not read where there is no activation
  Walk walk;
  uint32_t act;
  float slope;
};
struct NormalizeGradParams {
  Tensor dy, y, x, stats, gain, sums, dx;
  Walk walk;
  uint32_t act;
  float slope;
  float share;  // 1 / count
  uint32_t unused;
};
struct NormFoldParams {
  Tensor parts, sums;  // [rows, columns], [columns] or [columns + 1]
  uint32_t rows;
  uint32_t columns;
  uint32_t counted;  // whether `count` is written behind the sums
  float count;
};
struct StatisticsParams {
  Tensor sums, running, stats;
  double eps;
};
struct StoredStatisticsParams {
  Tensor running, stats;
  float eps;
  uint32_t unused;
};
struct RunningParams {
  Tensor sums, fault, running;
  double momentum;
};

namespace {

constexpr uint32_t THREADS = 256;

// Activations; the numbers are those of crates/cuda. Comparisons are such that a NaN passes through.
enum Act : uint32_t { NONE = 0, RELU = 1, LEAKY = 2, TANH = 3, SIGMOID = 4 };

// A thread's place: its channels, and U of its rows at a time.
template <int W, int U>
struct Place {
  const Walk& walk;
  uint32_t lane, line, lines;  // lane in the row of threads, its number in the block, how many there are
  uint32_t channel;            // the first of W
  uint32_t row, step;          // the first of the U rows, and how far apart they are

  __device__ __forceinline__ explicit Place(const Walk& w) : walk(w) {
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

__device__ __forceinline__ float sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

template <int U, int W, class F>
__device__ __forceinline__ void each(float (&x)[U][W], F f) {
#pragma unroll
  for (int u = 0; u < U; u++)
#pragma unroll
    for (int i = 0; i < W; i++) x[u][i] = f(x[u][i]);
}

template <int U, int W>
__device__ __forceinline__ void activate(uint32_t act, float slope, float (&z)[U][W]) {
  if (act == RELU) each(z, [](float x) { return x <= 0.0f ? 0.0f : x; });
  if (act == LEAKY) each(z, [=](float x) { return x > 0.0f ? x : slope * x; });
  if (act == TANH) each(z, [](float x) { return tanhf(x); });
  if (act == SIGMOID) each(z, [](float x) { return sigmoid(x); });
}

// d = dy · act', the derivative at the point whose output is y.
template <int W, int U>
__device__ __forceinline__ void load_gradient(const Place<W, U>& place, const Tensor& dy,
                                              const Tensor& y, uint32_t act, float slope,
                                              float (&d)[U][W]) {
  place.load(dy, d);
  if (act == NONE) return;
  float f[U][W];
  place.load(y, f);
  if (act == RELU) each(f, [](float y) { return y <= 0.0f ? 0.0f : 1.0f; });
  if (act == LEAKY) each(f, [=](float y) { return y > 0.0f ? 1.0f : slope; });
  if (act == TANH) each(f, [](float y) { return 1.0f - y * y; });
  if (act == SIGMOID) each(f, [](float y) { return y * (1.0f - y); });
#pragma unroll
  for (int u = 0; u < U; u++)
#pragma unroll
    for (int i = 0; i < W; i++) d[u][i] *= f[u][i];
}

template <int W>
__device__ __forceinline__ void moments_of(const MomentsParams& p) {
  Place<W, 4> place(p.walk);
  float first[W] = {}, second[W] = {};
  if (place.inside()) {
    float r[W];
    place.table(p.running, 0, r);
    for (; place.more(); place.next()) {
      float x[4][W];
      place.load(p.x, x);
#pragma unroll
      for (int u = 0; u < 4; u++) {
        if (!place.has(u)) break;
#pragma unroll
        for (int i = 0; i < W; i++) {
          const float d = x[u][i] - r[i];
          first[i] += d;
          second[i] += d * d;
        }
      }
    }
  }
  place.write_sums(p.parts, first, second);
}

template <int W>
__device__ __forceinline__ void normalize_of(const NormalizeParams& p) {
  Place<W, 4> place(p.walk);
  if (!place.inside()) return;
  float mean[W], istd[W], gain[W], shift[W];
  place.table(p.stats, 0, mean);
  place.table(p.stats, p.walk.channels, istd);
  place.table(p.gain, 0, gain);
  place.table(p.shift, 0, shift);
  for (; place.more(); place.next()) {
    float x[4][W];
    place.load(p.x, x);
#pragma unroll
    for (int u = 0; u < 4; u++)
#pragma unroll
      for (int i = 0; i < W; i++) x[u][i] = (x[u][i] - mean[i]) * istd[i] * gain[i] + shift[i];
    activate(p.act, p.slope, x);
    place.store(p.y, x);
  }
}

template <int W>
__device__ __forceinline__ void normalize_sums_of(const NormalizeSumsParams& p) {
  Place<W, 2> place(p.walk);
  float first[W] = {}, second[W] = {};
  if (place.inside()) {
    float mean[W], istd[W];
    place.table(p.stats, 0, mean);
    place.table(p.stats, p.walk.channels, istd);
    for (; place.more(); place.next()) {
      float x[2][W], d[2][W];
      place.load(p.x, x);
      load_gradient(place, p.dy, p.y, p.act, p.slope, d);
#pragma unroll
      for (int u = 0; u < 2; u++) {
        if (!place.has(u)) break;
#pragma unroll
        for (int i = 0; i < W; i++) {
          first[i] += d[u][i];
          second[i] += d[u][i] * ((x[u][i] - mean[i]) * istd[i]);
        }
      }
    }
  }
  place.write_sums(p.parts, first, second);
}

template <int W>
__device__ __forceinline__ void normalize_grad_of(const NormalizeGradParams& p) {
  Place<W, 2> place(p.walk);
  if (!place.inside()) return;
  float mean[W], istd[W], gain[W], first[W], second[W];
  place.table(p.stats, 0, mean);
  place.table(p.stats, p.walk.channels, istd);
  place.table(p.gain, 0, gain);
  place.table(p.sums, 0, first);
  place.table(p.sums, p.walk.channels, second);
  for (; place.more(); place.next()) {
    float x[2][W], d[2][W];
    place.load(p.x, x);
    load_gradient(place, p.dy, p.y, p.act, p.slope, d);
#pragma unroll
    for (int u = 0; u < 2; u++)
#pragma unroll
      for (int i = 0; i < W; i++) {
        const float x_hat = (x[u][i] - mean[i]) * istd[i];
        x[u][i] = gain[i] * istd[i] * (d[u][i] - (first[i] + x_hat * second[i]) * p.share);
      }
    place.store(p.dx, x);
  }
}

// Mean relative to the shift, and biased variance, of channel j.
struct Moments {
  double mean, variance, count;

  __device__ __forceinline__ Moments(const Tensor& of, uint32_t channels, uint32_t j) {
    const float* sums = of.of<const float>();
    count = sums[2 * channels];
    mean = sums[j] / count;
    variance = sums[channels + j] / count - mean * mean;
    // Not fmax, which would make a number of a NaN.
    if (variance < 0.0) variance = 0.0;
  }
};

}  // namespace

KERNEL(256, moments, MomentsParams) {
  if (p.walk.width == 4)
    moments_of<4>(p);
  else
    moments_of<1>(p);
}

KERNEL(256, normalize, NormalizeParams) {
  if (p.walk.width == 4)
    normalize_of<4>(p);
  else
    normalize_of<1>(p);
}

KERNEL(256, normalize_sums, NormalizeSumsParams) {
  if (p.walk.width == 4)
    normalize_sums_of<4>(p);
  else
    normalize_sums_of<1>(p);
}

KERNEL(256, normalize_grad, NormalizeGradParams) {
  if (p.walk.width == 4)
    normalize_grad_of<4>(p);
  else
    normalize_grad_of<1>(p);
}

// Sums of the columns. A block owns 8 of them, a sector of memory; thread (column, line) adds every 32nd
// row, and the 32 lines are added as a tree.
KERNEL(256, norm_fold, NormFoldParams) {
  __shared__ double sums[THREADS];
  const uint32_t line = threadIdx.x / 8;
  const uint32_t column = blockIdx.x * 8 + threadIdx.x % 8;
  double sum = 0.0;
  if (column < p.columns) {
    const float* parts = p.parts.of<const float>() + column;
#pragma unroll 4
    for (uint32_t row = line; row < p.rows; row += 32) sum += parts[uint64_t(row) * p.columns];
  }
  sums[threadIdx.x] = sum;
  for (uint32_t half = 16; half > 0; half /= 2) {
    __syncthreads();
    if (line < half) sums[threadIdx.x] += sums[threadIdx.x + half * 8];
  }
  if (line == 0 && column < p.columns) p.sums.of<float>()[column] = float(sums[threadIdx.x]);
  if (p.counted && blockIdx.x == 0 && threadIdx.x == 0) p.sums.of<float>()[p.columns] = p.count;
}

// One thread for each channel, here and below.
KERNEL(256, statistics, StatisticsParams) {
  const uint32_t channels = p.stats.len / 2, j = blockIdx.x * THREADS + threadIdx.x;
  if (j >= channels) return;
  const Moments of(p.sums, channels, j);
  p.stats.of<float>()[j] = float(p.running.of<const float>()[j] + of.mean);
  p.stats.of<float>()[channels + j] = float(1.0 / sqrt(of.variance + p.eps));
}

// The same of the running mean and variance [2c].
KERNEL(256, stored_statistics, StoredStatisticsParams) {
  const uint32_t channels = p.stats.len / 2, j = blockIdx.x * THREADS + threadIdx.x;
  if (j >= channels) return;
  p.stats.of<float>()[j] = p.running.of<const float>()[j];
  p.stats.of<float>()[channels + j] = 1.0f / sqrtf(p.running.of<const float>()[channels + j] + p.eps);
}

// running ← (1 − momentum) · running + momentum · (mean, unbiased variance), unless there is a fault. The
// sums were taken around the running mean as it was.
KERNEL(256, running, RunningParams) {
  const uint32_t channels = p.running.len / 2, j = blockIdx.x * THREADS + threadIdx.x;
  if (j >= channels || p.fault.of<const float>()[0] != 0.0f) return;
  const Moments of(p.sums, channels, j);
  float* running = p.running.of<float>();
  const double unbias = of.count / fmax(of.count - 1.0, 1.0), keep = 1.0 - p.momentum;
  const double mean = running[j], variance = running[channels + j];
  running[j] = float(keep * mean + p.momentum * (mean + of.mean));
  running[channels + j] = float(keep * variance + p.momentum * (of.variance * unbias));
}
