// Elementwise functions, and maxout.
//
//   map           y[i] = f(operands at i), f an expression of at most 24 steps
//   map_direct    y[i] = f(a[i], b[i]), f one operation
//   maxout_pick   y[u] = v at the largest of x among the pieces of unit u; x, v [rows, units · pieces]
//   maxout_scatter  dx = dy[u] at the largest of x among the pieces of unit u, 0 at the others
//
// map: a block owns 1024 adjacent elements at a time, a thread two runs of four of them. map_direct: 2048
// and the same. All operands of an element are read before it is written, by the thread that writes
// it, so an operand of the result's type may lie where the result does. maxout: a thread owns a unit.
#include "expr.cuh"

struct MapParams {
  Expr expr;
  Tensor y;
  uint32_t wide;  // y takes four elements at once
  uint32_t unused[3];
};

KERNEL(EXPR_THREADS, map, MapParams) {
  DYNAMIC_SHARED(slots);
  constexpr uint32_t BLOCK = EXPR_THREADS * 8;
  for (uint64_t first = uint64_t(blockIdx.x) * BLOCK; first < p.y.len;
       first += uint64_t(gridDim.x) * BLOCK) {
    Run runs[2];
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h) {
      runs[h].at = static_cast<uint32_t>(first) + (h * EXPR_THREADS + threadIdx.x) * 4;
      runs[h].len = runs[h].at < p.y.len ? min(p.y.len - runs[h].at, 4u) : 0;
    }
    float4 result[2];
    evaluate(p.expr, runs, slots, result);
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h) {
      if (p.wide && runs[h].len == 4) {
        p.y.store4(runs[h].at, result[h]);
      } else {
        const float v[4] = {result[h].x, result[h].y, result[h].z, result[h].w};
#pragma unroll
        for (uint32_t l = 0; l < 4; ++l)
          if (l < runs[h].len) p.y.store(runs[h].at + l, v[l]);
      }
    }
  }
}

// Every tensor is of the same length, F32 or BF16, and begins at a multiple of 16 bytes.
struct MapDirectParams {
  Tensor a;
  Tensor b;
  Tensor y;
  uint32_t operation;  // an Operation; INPUT for a copy of a
  float x;             // as in Instruction
  float shift;
  uint32_t unused;
};

namespace {

template <Operation OP>
__device__ __forceinline__ void direct(const MapDirectParams& p) {
  constexpr bool reads_a = OP != CONSTANT;
  constexpr bool reads_b = OP == ADD || OP == SUB || OP == MUL || OP == GATE;
  constexpr uint32_t THREADS = 256, BLOCK = 2 * THREADS;
  const uint32_t quads = p.y.len / 4;
  for (uint32_t q = blockIdx.x * BLOCK + threadIdx.x; q < quads; q += gridDim.x * BLOCK) {
    float4 a[2] = {}, b[2] = {};
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h) {
      if (q + h * THREADS < quads) {
        if (reads_a) a[h] = p.a.load4(4 * (q + h * THREADS));
        if (reads_b) b[h] = p.b.load4(4 * (q + h * THREADS));
      }
    }
#pragma unroll
    for (uint32_t h = 0; h < 2; ++h)
      if (q + h * THREADS < quads)
        p.y.store4(4 * (q + h * THREADS), apply<OP>(a[h], b[h], p.x, p.shift));
  }
  const uint32_t i = 4 * quads + threadIdx.x;
  if (blockIdx.x == 0 && i < p.y.len) {
    const float a = reads_a ? p.a.load(i) : 0.0f, b = reads_b ? p.b.load(i) : 0.0f;
    p.y.store(i, apply<OP>(a, b, p.x, p.shift));
  }
}

}  // namespace

KERNEL(256, map_direct, MapDirectParams) {
  switch (p.operation) {
    case INPUT: return direct<INPUT>(p);
    case CONSTANT: return direct<CONSTANT>(p);
    case AFFINE: return direct<AFFINE>(p);
    case LEAKY: return direct<LEAKY>(p);
    case TANH: return direct<TANH>(p);
    case SIGMOID: return direct<SIGMOID>(p);
    case ADD: return direct<ADD>(p);
    case SUB: return direct<SUB>(p);
    case MUL: return direct<MUL>(p);
    case GATE: return direct<GATE>(p);
  }
}

struct MaxoutParams {
  Tensor v;  // dy [rows, units] for the scatter
  Tensor x;
  Tensor y;
  uint32_t pieces;
  uint32_t unused;
};

namespace {

// The piece of a unit that has the largest x: among equals the first, and a NaN before all numbers.
__device__ __forceinline__ uint32_t winner(const Tensor& x, uint32_t first, uint32_t pieces) {
  float best = x.load(first);
  uint32_t at = 0;
  for (uint32_t i = 1; i < pieces; ++i) {
    const float candidate = x.load(first + i);
    const bool wins = candidate > best || (candidate != candidate && best == best);
    best = wins ? candidate : best;
    at = wins ? i : at;
  }
  return at;
}

}  // namespace

KERNEL(256, maxout_pick, MaxoutParams) {
  for (uint32_t u = blockIdx.x * 256 + threadIdx.x; u < p.y.len; u += gridDim.x * 256) {
    const uint32_t first = u * p.pieces;
    p.y.store(u, p.v.load(first + winner(p.x, first, p.pieces)));
  }
}

KERNEL(256, maxout_scatter, MaxoutParams) {
  for (uint32_t u = blockIdx.x * 256 + threadIdx.x; u < p.v.len; u += gridDim.x * 256) {
    const uint32_t first = u * p.pieces, at = winner(p.x, first, p.pieces);
    const float dy = p.v.load(u);
    for (uint32_t i = 0; i < p.pieces; ++i) p.y.store(first + i, i == at ? dy : 0.0f);
  }
}
