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
// Kernels over [m, c] share one walk (walk.cuh): a thread owns `width` channels, a block some rows of them,
// blockIdx.y is the tile of channels. What the blocks summed is added by sum_parts (reduce.cu), in double and
// always in one order.
#include "elementary.cuh"
#include "walk.cuh"

// Activations, as crates/cuda numbers them. Comparisons with their arguments let a NaN through.
enum class Act : uint32_t { NONE = 0, RELU = 1, LEAKY = 2, TANH = 3, SIGMOID = 4 };

struct MomentsParams {
  Tensor x, running, parts;  // parts [gridDim.x, 2, c]
  Tensor count;              // [1]
  Walk walk;
};
struct NormalizeParams {
  Tensor x, stats, gain, shift, y;
  Walk walk;
  Act act;
  float slope;
};
struct NormalizeSumsParams {
  Tensor dy, y, x, stats, parts;  // y is not read where there is no activation
  Walk walk;
  Act act;
  float slope;
};
struct NormalizeGradParams {
  Tensor dy, y, x, stats, gain, sums, dx;
  Walk walk;
  Act act;
  float slope;
  float share;  // 1 / count
  uint32_t unused;
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

template <int U, int W, class F>
__device__ __forceinline__ void each(float (&x)[U][W], F f) {
#pragma unroll
  for (int u = 0; u < U; u++)
#pragma unroll
    for (int i = 0; i < W; i++) x[u][i] = f(x[u][i]);
}

template <int U, int W>
__device__ __forceinline__ void activate(Act act, float slope, float (&z)[U][W]) {
  if (act == Act::RELU) each(z, [](float x) { return x <= 0.0f ? 0.0f : x; });
  if (act == Act::LEAKY) each(z, [=](float x) { return x > 0.0f ? x : slope * x; });
  if (act == Act::TANH) each(z, [](float x) { return apply<TANH>(x, 0.0f, 0.0f, 0.0f); });
  if (act == Act::SIGMOID) each(z, [](float x) { return apply<SIGMOID>(x, 0.0f, 0.0f, 0.0f); });
}

// d = dy · act', the derivative at the point whose output is y.
template <int W, int U>
__device__ __forceinline__ void load_gradient(const Walker<W, U>& at, const Tensor& dy,
                                              const Tensor& y, Act act, float slope,
                                              float (&d)[U][W]) {
  at.load(dy, d);
  if (act == Act::NONE) return;
  float f[U][W];
  at.load(y, f);
  if (act == Act::RELU) each(f, [](float y) { return y <= 0.0f ? 0.0f : 1.0f; });
  if (act == Act::LEAKY) each(f, [=](float y) { return y > 0.0f ? 1.0f : slope; });
  if (act == Act::TANH) each(f, [](float y) { return 1.0f - y * y; });
  if (act == Act::SIGMOID) each(f, [](float y) { return y * (1.0f - y); });
#pragma unroll
  for (int u = 0; u < U; u++)
#pragma unroll
    for (int i = 0; i < W; i++) d[u][i] *= f[u][i];
}

template <int W>
__device__ __forceinline__ void moments_of(const MomentsParams& p) {
  Walker<W, 4> at(p.walk);
  float first[W] = {}, second[W] = {};
  if (at.inside()) {
    float r[W];
    at.table(p.running, 0, r);
    for (; at.more(); at.next()) {
      float x[4][W];
      at.load(p.x, x);
#pragma unroll
      for (int u = 0; u < 4; u++) {
        if (!at.has(u)) break;
#pragma unroll
        for (int i = 0; i < W; i++) {
          const float d = x[u][i] - r[i];
          first[i] += d;
          second[i] += d * d;
        }
      }
    }
  }
  at.write_sums(p.parts, first, second);
  if (blockIdx.x + blockIdx.y + threadIdx.x == 0) p.count.store(0, float(p.walk.rows));
}

template <int W>
__device__ __forceinline__ void normalize_of(const NormalizeParams& p) {
  Walker<W, 4> at(p.walk);
  if (!at.inside()) return;
  float mean[W], istd[W], gain[W], shift[W];
  at.table(p.stats, 0, mean);
  at.table(p.stats, p.walk.channels, istd);
  at.table(p.gain, 0, gain);
  at.table(p.shift, 0, shift);
  for (; at.more(); at.next()) {
    float x[4][W];
    at.load(p.x, x);
#pragma unroll
    for (int u = 0; u < 4; u++)
#pragma unroll
      for (int i = 0; i < W; i++) x[u][i] = (x[u][i] - mean[i]) * istd[i] * gain[i] + shift[i];
    activate(p.act, p.slope, x);
    at.store(p.y, x);
  }
}

template <int W>
__device__ __forceinline__ void normalize_sums_of(const NormalizeSumsParams& p) {
  Walker<W, 2> at(p.walk);
  float first[W] = {}, second[W] = {};
  if (at.inside()) {
    float mean[W], istd[W];
    at.table(p.stats, 0, mean);
    at.table(p.stats, p.walk.channels, istd);
    for (; at.more(); at.next()) {
      float x[2][W], d[2][W];
      at.load(p.x, x);
      load_gradient(at, p.dy, p.y, p.act, p.slope, d);
#pragma unroll
      for (int u = 0; u < 2; u++) {
        if (!at.has(u)) break;
#pragma unroll
        for (int i = 0; i < W; i++) {
          first[i] += d[u][i];
          second[i] += d[u][i] * ((x[u][i] - mean[i]) * istd[i]);
        }
      }
    }
  }
  at.write_sums(p.parts, first, second);
}

template <int W>
__device__ __forceinline__ void normalize_grad_of(const NormalizeGradParams& p) {
  Walker<W, 2> at(p.walk);
  if (!at.inside()) return;
  float mean[W], istd[W], gain[W], first[W], second[W];
  at.table(p.stats, 0, mean);
  at.table(p.stats, p.walk.channels, istd);
  at.table(p.gain, 0, gain);
  at.table(p.sums, 0, first);
  at.table(p.sums, p.walk.channels, second);
  for (; at.more(); at.next()) {
    float x[2][W], d[2][W];
    at.load(p.x, x);
    load_gradient(at, p.dy, p.y, p.act, p.slope, d);
#pragma unroll
    for (int u = 0; u < 2; u++)
#pragma unroll
      for (int i = 0; i < W; i++) {
        const float x_hat = (x[u][i] - mean[i]) * istd[i];
        x[u][i] = gain[i] * istd[i] * (d[u][i] - (first[i] + x_hat * second[i]) * p.share);
      }
    at.store(p.dx, x);
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
