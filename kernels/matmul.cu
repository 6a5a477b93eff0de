// Matrix products:  y[m,n] = Σ_k op(a)[m,k] · op(b)[k,n] (+ other[m,n]).
//
// The last two letters of a name say how a and b lie: n as [m,k] and [k,n], t as [k,m] and [n,k]. A block of
// 128 threads owns 64×64 elements of y, its four warps 32×32 each; blockIdx.x counts them, columns first. k
// is split into parts, blockIdx.z: each leaves its sum in a workspace [parts][m][n], which matmul_parts adds
// up in order; one part alone stores the result. An operand comes by 16 bytes where its rows are whole
// chunks of the type that is multiplied, and otherwise by elements of F32 or BF16.
#include <type_traits>

#include "gemm_finish.cuh"
#include "gemm_load.cuh"
#include "gemm_math.cuh"
#include "gemm_parts.cuh"

struct MatmulParams {
  Tensor a, b;
  Finish finish;  // plain or accumulate
  int32_t m, n, k;
  int32_t steps;  // of 64 bytes of k, of one part
  uint32_t a_chunks, b_chunks;
};

// One operand: `extent` rows (or columns) from `first` on, of k.
template <class P, bool ALONG_K, class Math, int THREADS>
struct MatmulOperand {
  using E = typename Math::Element;
  using Fill = Elements<P, Math, THREADS, 4>;
  typename std::conditional<ALONG_K, RowsAlongK<P, E, THREADS>, RowsAcrossK<P, E, THREADS>>::type chunks;
  const Tensor& from;
  const bool by_chunks;
  const uint32_t first, extent, k;

  __device__ __forceinline__ MatmulOperand(const Tensor& from, bool by_chunks, uint32_t first, uint32_t extent,
                                           uint32_t k)
      : chunks(from.of<const E>(), first, extent, ALONG_K ? k : extent),
        from(from), by_chunks(by_chunks), first(first), extent(extent), k(k) {}

  __device__ __forceinline__ void load(unsigned char* stage, uint32_t at) const {
    if (by_chunks) {
      if constexpr (ALONG_K)
        chunks.load(stage, at, int(k - at));
      else
        chunks.load(stage, 0, at, int(k - at));
    } else {
      Fill::fill(stage, from, [&](int row, uint32_t& index) {
        const uint32_t outer = (ALONG_K ? first : at) + row, inner = (ALONG_K ? at : first) + Fill::column();
        index = outer * (ALONG_K ? k : extent) + inner;
        return outer < (ALONG_K ? extent : k) && inner < (ALONG_K ? k : extent);
      });
    }
  }
};

template <class Math, bool TA, bool TB>
__device__ __forceinline__ void matmul(const MatmulParams& p) {
  DYNAMIC_SHARED(shared);
  using T = Tile<Math, 64, 64, 2, 2, 4, !TA, TB>;
  const uint32_t tiles_n = (p.n + T::N - 1) / T::N;
  const uint32_t m0 = blockIdx.x / tiles_n * T::M, n0 = blockIdx.x % tiles_n * T::N;
  const int all_steps = (p.k + T::K - 1) / T::K, before = blockIdx.z * p.steps;
  uint32_t k = before * T::K;
  const MatmulOperand<typename T::A, !TA, Math, T::THREADS> a(p.a, p.a_chunks, m0, p.m, p.k);
  const MatmulOperand<typename T::B, TB, Math, T::THREADS> b(p.b, p.b_chunks, n0, p.n, p.k);
  Accumulators<T> acc;
  multiply<T>(acc, shared, max(min(p.steps, all_steps - before), 0), [&](unsigned char* stage) {
    a.load(stage, k);
    b.load(stage + T::A::BYTES, k);
    k += T::K;
  });
  store<T>(p.finish, acc, shared, m0, p.m, n0, p.n, blockIdx.z * p.m);
}

KERNEL(128, matmul_bf16_nn, MatmulParams) { matmul<Bf16, false, false>(p); }
KERNEL(128, matmul_bf16_nt, MatmulParams) { matmul<Bf16, false, true>(p); }
KERNEL(128, matmul_bf16_tn, MatmulParams) { matmul<Bf16, true, false>(p); }
KERNEL(128, matmul_bf16_tt, MatmulParams) { matmul<Bf16, true, true>(p); }

KERNEL(128, matmul_tf32_nn, MatmulParams) { matmul<Tf32, false, false>(p); }
KERNEL(128, matmul_tf32_nt, MatmulParams) { matmul<Tf32, false, true>(p); }
KERNEL(128, matmul_tf32_tn, MatmulParams) { matmul<Tf32, true, false>(p); }
KERNEL(128, matmul_tf32_tt, MatmulParams) { matmul<Tf32, true, true>(p); }

KERNEL(128, matmul_f32_nn, MatmulParams) { matmul<Full32, false, false>(p); }
KERNEL(128, matmul_f32_nt, MatmulParams) { matmul<Full32, false, true>(p); }
KERNEL(128, matmul_f32_tn, MatmulParams) { matmul<Full32, true, false>(p); }
KERNEL(128, matmul_f32_tt, MatmulParams) { matmul<Full32, true, true>(p); }

KERNEL(256, matmul_parts, PartsParams) { add_parts(p); }
