// What becomes of D before it is stored. D goes through shared memory, so that rows are stored whole and
// every thread stays with its columns:
//
//   plain           y = D
//   accumulate      y = D + other
//   activate        y = act(D + bias)
//   gate            y = other > 0 ? D : slope · D
//   moments         y = D, partial sums Σ(y − r) and Σ(y − r)² over rows, with r = running[0..N)
//   gradient sums   z = gain · x̂ + shift with x̂ = (other − mean) · istd;  y = z > 0 ? D : slope · D,
//                   partial sums Σy and Σy·x̂
//
// Sums are of y as stored. Each block leaves one row [2N] of partial sums, which conv.cu adds up in order.
#pragma once
#include "elementary.cuh"
#include "gemm.cuh"

enum FinishKind : uint32_t {
  FINISH_PLAIN = 0,
  FINISH_ACCUMULATE = 1,
  FINISH_ACTIVATE = 2,
  FINISH_GATE = 3,
  FINISH_MOMENTS = 4,
  FINISH_GRADIENT_SUMS = 5,
};

struct Finish {
  Tensor y;
  Tensor other;         // of the shape of y
  uint64_t bias;        // activate: f32 [N], or 0; moments: running, f32
  uint64_t statistics;  // gradient sums: mean and istd, f32 [2N]
  uint64_t gain;        // gradient sums: f32 [N]
  uint64_t shift;       // gradient sums: f32 [N]
  uint64_t partials;    // f32 [rows][2N]
  uint32_t kind;        // FinishKind
  uint32_t activation;  // LEAKY, with slope 1 where there is none, TANH or SIGMOID (elementary.cuh)
  float slope;
  uint32_t vector;  // whether N is a multiple of 4 and y and other may be read and written by fours
};

// Where an element of D lies as f32. Rows are rotated by eights of columns, so that pairs from four rows meet
// no bank twice.
template <class T>
__device__ __forceinline__ int staged_at(int m, int n) {
  return m * T::N + (T::N >= 32 ? n ^ (m & 3) * 8 : n);
}

template <class T>
__device__ __forceinline__ float* stage_result(const Accumulators<T>& acc, unsigned char* shared) {
  float* staged = reinterpret_cast<float*>(shared);
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < T::SQUARES_M; i++)
#pragma unroll
    for (int j = 0; j < T::SQUARES_N; j++)
#pragma unroll
      for (int h = 0; h < 2; h++)
        *reinterpret_cast<float2*>(staged + staged_at<T>(T::warp_m() + 16 * i + 8 * h + lane / 4,
                                                         T::warp_n() + 8 * j + 2 * (lane % 4))) =
            make_float2(acc[i][j][2 * h], acc[i][j][2 * h + 1]);
  __syncthreads();
  return staged;
}

// A thread's part of D: V columns of every STEPth row.
template <class T, int V>
struct Sweep {
  static constexpr int THREADS_N = T::N / V;             // of a row
  static constexpr int STEP = T::THREADS / THREADS_N;    // rows at a time
  static constexpr int ROWS = T::M / STEP;               // of a thread
  static constexpr int BATCH = V == 1 || ROWS < 4 ? 1 : 4;
  static_assert(T::M % STEP == 0 && ROWS % BATCH == 0 && T::THREADS % THREADS_N == 0, "threads share evenly");

  static __device__ __forceinline__ void read(float (&v)[V], const Tensor& t, uint32_t at) {
    if constexpr (V == 4) {
      const float4 u = t.load4(at);
      v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
    } else {
      v[0] = t.load(at);
    }
  }
  static __device__ __forceinline__ void parameter(float (&v)[V], uint64_t at, uint32_t n) {
#pragma unroll
    for (int e = 0; e < V; e++) v[e] = reinterpret_cast<const float*>(at)[n + e];
  }

  // All kinds are one formula with factors of 0 and 1, so that little branches:
  //   v = D + bias + adds · other;  x̂ = (other − mean) · istd;  z = gain · x̂ + shift + itself · v
  //   y = z > 0 ? v : slope · v;  d = y − running;  Σd, Σd · (x̂ + squares · d)
  template <class Row>
  static __device__ __forceinline__ void run(const Finish& f, float* staged, uint32_t m0, uint32_t m_end, uint32_t n0,
                                             uint32_t n_end, Row row) {
    const bool squashed = f.kind == FINISH_ACTIVATE && f.activation != LEAKY;
    const int column = threadIdx.x % THREADS_N * V;
    const uint32_t n = n0 + column;
    const bool reads = f.kind == FINISH_ACCUMULATE || f.kind == FINISH_GATE || f.kind == FINISH_GRADIENT_SUMS;
    const float itself = f.kind == FINISH_ACTIVATE, squares = f.kind == FINISH_MOMENTS, adds = f.kind == FINISH_ACCUMULATE;
    const bool gates = f.kind == FINISH_GATE || f.kind == FINISH_GRADIENT_SUMS;
    const float slope = gates || (itself && !squashed) ? f.slope : 1.0f;
    float bias[V], mean[V], istd[V], gain[V], shift[V], running[V], first[V], second[V];
#pragma unroll
    for (int e = 0; e < V; e++) {
      bias[e] = mean[e] = shift[e] = running[e] = first[e] = second[e] = 0.0f;
      istd[e] = 1.0f;
      gain[e] = gates;
    }
    if (n < n_end) {
      if (f.kind == FINISH_ACTIVATE && !squashed && f.bias) parameter(bias, f.bias, n);
      if (f.kind == FINISH_MOMENTS) parameter(running, f.bias, n);
      if (f.kind == FINISH_GRADIENT_SUMS) {
        parameter(mean, f.statistics, n);
        parameter(istd, f.statistics, n_end + n);
        parameter(gain, f.gain, n);
        parameter(shift, f.shift, n);
      }
#pragma unroll 1
      for (int from = threadIdx.x / THREADS_N; from < T::M; from += BATCH * STEP) {
        uint32_t at[BATCH];
        float other[BATCH][V] = {};
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
          const uint32_t m = m0 + from + i * STEP;
          at[i] = row(m < m_end ? m : m0) * n_end + n;
        }
        if (reads) {
#pragma unroll
          for (int i = 0; i < BATCH; i++) read(other[i], f.other, at[i]);
        }
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
          const int m = from + i * STEP;
          const bool is = m0 + m < m_end;
          float v[V], normal[V];
#pragma unroll
          for (int e = 0; e < V; e++) {
            v[e] = fmaf(adds, other[i][e], staged[staged_at<T>(m, column) + e] + bias[e]);
            normal[e] = (other[i][e] - mean[e]) * istd[e];
            const float gate = fmaf(itself, v[e], fmaf(normal[e], gain[e], shift[e]));
            v[e] = gate > 0.0f ? v[e] : slope * v[e];
          }
          if (f.y.type == BF16) {
#pragma unroll
            for (int e = 0; e < V; e++) v[e] = to_float(to_bf16(v[e]));
          }
#pragma unroll
          for (int e = 0; e < V; e++) {
            const float d = is ? v[e] - running[e] : 0.0f;
            first[e] += d;
            second[e] = fmaf(d, fmaf(squares, d, normal[e]), second[e]);
          }
          if (is) {
            if constexpr (V == 4)
              f.y.store4(at[i], make_float4(v[0], v[1], v[2], v[3]));
            else
              f.y.store(at[i], v[0]);
          }
        }
      }
    }
    if (f.kind < FINISH_MOMENTS) return;
    __syncthreads();
#pragma unroll
    for (int e = 0; e < V; e++) {
      float* mine = staged + threadIdx.x / THREADS_N * 2 * T::N + column + e;
      mine[0] = first[e];
      mine[T::N] = second[e];
    }
  }
};

// staged = act(staged + bias), in place, for the functions that take an exponential.
template <class T>
__device__ __forceinline__ void squash(const Finish& f, float* staged, uint32_t n0, uint32_t n_end) {
#pragma unroll 1
  for (int i = threadIdx.x; i < T::M * T::N; i += T::THREADS) {
    const uint32_t n = n0 + i % T::N;
    float& v = staged[staged_at<T>(i / T::N, i % T::N)];
    const float x = v + (f.bias && n < n_end ? reinterpret_cast<const float*>(f.bias)[n] : 0.0f);
    v = f.activation == TANH ? apply<TANH>(x, x, 0.0f, 0.0f) : apply<SIGMOID>(x, x, 0.0f, 0.0f);
  }
  __syncthreads();
}

// Stores rows m0.. below m_end and columns n0.. below n_end of D. row(m) is the row of y that is row m of D.
template <class T, class Row>
__device__ __forceinline__ void finish(const Finish& f, const Accumulators<T>& acc, unsigned char* shared, uint32_t m0,
                                       uint32_t m_end, uint32_t n0, uint32_t n_end, uint32_t partial_row, Row row) {
  float* staged = stage_result<T>(acc, shared);
  if (f.kind == FINISH_ACTIVATE && f.activation != LEAKY) squash<T>(f, staged, n0, n_end);
  if (f.vector)
    Sweep<T, 4>::run(f, staged, m0, m_end, n0, n_end, row);
  else
    Sweep<T, 1>::run(f, staged, m0, m_end, n0, n_end, row);
  if (f.kind < FINISH_MOMENTS) return;

  // The sums of a column, over the threads that swept it, in order: [rows][2][N].
  __syncthreads();
  const int rows = f.vector ? Sweep<T, 4>::STEP : Sweep<T, 1>::STEP;
  float* partials = reinterpret_cast<float*>(f.partials) + size_t(partial_row) * 2 * n_end;
  for (int i = threadIdx.x; i < 2 * T::N; i += T::THREADS) {
    float sum = 0.0f;
    for (int s = 0; s < rows; s++) sum += staged[s * 2 * T::N + i];
    if (n0 + i % T::N < n_end) partials[i / T::N * n_end + n0 + i % T::N] = sum;
  }
}

// The same for kinds plain and accumulate alone, with y from row `first_row` on.
template <class T>
__device__ __forceinline__ void store(const Finish& f, const Accumulators<T>& acc, unsigned char* shared, uint32_t m0,
                                      uint32_t m_end, uint32_t n0, uint32_t n_end, uint32_t first_row) {
  const float* staged = stage_result<T>(acc, shared);
  const bool adds = f.kind == FINISH_ACCUMULATE;
  const uint32_t n4 = n0 + threadIdx.x % (T::N / 4) * 4;
  if (f.vector && n4 < n_end) {
#pragma unroll 4
    for (int m = threadIdx.x / (T::N / 4); m < T::M; m += T::THREADS / (T::N / 4)) {
      if (m0 + m >= m_end) continue;
      float4 v = *reinterpret_cast<const float4*>(staged + staged_at<T>(m, n4 - n0));
      const uint32_t at = (first_row + m0 + m) * n_end + n4;
      if (adds) {
        const float4 o = f.other.load4(at);
        v = make_float4(v.x + o.x, v.y + o.y, v.z + o.z, v.w + o.w);
      }
      f.y.store4(at, v);
    }
  } else if (!f.vector) {
#pragma unroll 1
    for (int i = threadIdx.x; i < T::M * T::N; i += T::THREADS) {
      const uint32_t m = m0 + i / T::N, n = n0 + i % T::N, at = (first_row + m) * n_end + n;
      if (m < m_end && n < n_end)
        f.y.store(at, staged[staged_at<T>(i / T::N, i % T::N)] + (adds ? f.other.load(at) : 0.0f));
    }
  }
}
