// Filling a stage of gemm.cuh: by 16-byte cp.async where chunks lie whole and aligned in memory and have the
// stage's type, element by element otherwise.
#pragma once
#include "gemm.cuh"

// The rows of a place, by chunks: thread t copies chunk t mod CHUNKS of rows t / CHUNKS, + STEP, …
template <class P, int THREADS>
struct Chunks {
  static constexpr int STEP = THREADS / P::CHUNKS;
  static constexpr int ROWS = (P::ROWS + STEP - 1) / STEP;  // of a thread
  static constexpr bool WHOLE = P::ROWS % STEP == 0;

  static __device__ __forceinline__ int chunk() { return threadIdx.x % P::CHUNKS; }
  static __device__ __forceinline__ int row(int i) { return int(threadIdx.x) / P::CHUNKS + i * STEP; }
  static __device__ __forceinline__ bool has(int i) { return WHOLE || row(i) < P::ROWS; }
};

// A matrix whose rows are contiguous in k: rows first.. of `rows`, each `stride` elements after the last.
template <class P, class E, int THREADS>
struct RowsAlongK {
  using Mine = Chunks<P, THREADS>;
  const E* base;
  uint32_t at, stride;
  int rows;  // that exist, from this thread's first on

  __device__ __forceinline__ RowsAlongK(const E* base, uint32_t first, uint32_t extent, uint32_t stride)
      : base(base), at((first + Mine::row(0)) * stride), stride(stride), rows(int(extent - first) - Mine::row(0)) {}
  // Elements from `from` on in each row; those from the `valid`th on count as zero.
  __device__ __forceinline__ void load(unsigned char* stage, uint32_t from, int valid) const {
    constexpr int CHUNK = 16 / int(sizeof(E));
    const int k = Mine::chunk() * CHUNK;
    const int exist = k < valid ? rows : 0;
#pragma unroll
    for (int i = 0; i < Mine::ROWS; i++) {
      const bool is = i * Mine::STEP < exist;
      if (Mine::has(i))
        ptx::cp_async16(stage + P::chunk(Mine::row(i), Mine::chunk()),
                        base + (is ? at + i * Mine::STEP * stride + from + k : 0), is);
    }
  }
};

// A matrix whose rows are the k: columns first.. of `columns` of each.
template <class P, class E, int THREADS>
struct RowsAcrossK {
  using Mine = Chunks<P, THREADS>;
  const E* base;
  uint32_t column, stride;
  bool inside;

  __device__ __forceinline__ RowsAcrossK(const E* base, uint32_t first, uint32_t columns, uint32_t stride)
      : base(base), stride(stride) {
    column = first + Mine::chunk() * (16 / sizeof(E));
    inside = column < columns;
  }
  // Rows row.. from `from` on; those from the `valid`th on count as zero.
  __device__ __forceinline__ void load(unsigned char* stage, uint32_t from, uint32_t row, int valid) const {
#pragma unroll
    for (int i = 0; i < Mine::ROWS; i++) {
      const bool is = inside && Mine::row(i) < valid;
      if (Mine::has(i))
        ptx::cp_async16(stage + P::chunk(Mine::row(i), Mine::chunk()),
                        base + (is ? from + (row + Mine::row(i)) * stride + column : 0), is);
    }
  }
};

// Fills a place element by element, neighbouring threads along its rows. locate(row, index) says where the
// element of a row lies in `from`, which is F32 or BF16, or that it is zero; `column` is this thread's and
// the same for all rows.
template <class P, class Math, int THREADS, int MOST = 8>
struct Elements {
  using Element = typename Math::Element;
  static constexpr int COLUMNS = P::CHUNKS * 16 / int(sizeof(Element));
  static constexpr int STEP = THREADS / COLUMNS;
  static constexpr int ROWS = P::ROWS / STEP;  // of a thread
  static constexpr int BATCH = ROWS < MOST ? ROWS : MOST;  // loads under way
  static_assert(THREADS % COLUMNS == 0 && P::ROWS % STEP == 0 && ROWS % BATCH == 0, "threads share evenly");

  static __device__ __forceinline__ int column() { return threadIdx.x % COLUMNS; }

  template <class Locate>
  static __device__ __forceinline__ void fill(unsigned char* stage, const Tensor& from, Locate locate) {
    const bool whole = from.type == F32;
#pragma unroll 1
    for (int batch = 0; batch < P::ROWS; batch += BATCH * STEP) {
      const int first = batch + int(threadIdx.x) / COLUMNS;
      float v[BATCH];
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        uint32_t index = 0;
        const bool is = locate(first + i * STEP, index);
        index = is ? index : 0;
        const float x = whole ? from.of<const float>()[index] : to_float(from.of<const bf16>()[index]);
        v[i] = is ? x : 0.0f;
      }
#pragma unroll
      for (int i = 0; i < BATCH; i++)
        *reinterpret_cast<Element*>(stage + P::element(first + i * STEP, column())) = Math::of(v[i]);
    }
  }
};
