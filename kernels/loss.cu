// Sums of an expression.
//
//   map_sum   parts[s · pieces + j] = Σ f(operands at i), i in piece j of the `each` elements of sum s
//
// A loss is the sum of a function of logits over everything; a gradient penalty the sum over a sample.
// Blocks s · pieces .. (s + 1) · pieces own sum s, and block j of them `piece` adjacent elements, a
// thread two runs of four of every 1024. Each thread adds in f32, few enough that nothing is lost, then
// the block does in a fixed order. Where a sum has several pieces, `sum_parts` of reduce.cu adds them.
#include "expr.cuh"
#include "sums.cuh"

struct MapSumParams {
  Expr expr;
  Tensor parts;
  uint32_t each;    // where a multiple of 4, so is every place where a run begins
  uint32_t piece;   // a multiple of 1024
  uint32_t pieces;  // of each sum
  uint32_t unused;
};

KERNEL(EXPR_THREADS, map_sum, MapSumParams) {
  DYNAMIC_SHARED(slots);
  const uint32_t s = blockIdx.x / p.pieces, j = blockIdx.x - s * p.pieces;
  const uint32_t from = j * p.piece, to = min(p.each, from + p.piece);
  float sums[2] = {0.0f, 0.0f};
  for (uint32_t first = from; first < to; first += EXPR_THREADS * 8) {
    Run runs[2];
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h) {
      const uint32_t at = first + (h * EXPR_THREADS + threadIdx.x) * 4;
      runs[h].at = s * p.each + at;
      runs[h].len = at < to ? min(to - at, 4u) : 0;
    }
    float4 result[2];
    evaluate(p.expr, runs, slots, result);
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h) {
      // What lies behind the end is selected away: it may be NaN.
      const float4 r = result[h];
      const uint32_t n = runs[h].len;
      sums[h] += sum4(make_float4(n > 0 ? r.x : 0.0f, n > 1 ? r.y : 0.0f, n > 2 ? r.z : 0.0f,
                                  n > 3 ? r.w : 0.0f));
    }
  }
  const float sum = block_sum<EXPR_THREADS>(sums[0] + sums[1]);
  if (threadIdx.x == 0) p.parts.store(blockIdx.x, sum);
}
