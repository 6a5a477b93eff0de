// Expressions as kernels run them: tape::Expr as a list of instructions in the parameters.
//
// All threads take the same way through the list, so it costs no divergence. A thread computes two runs of
// four adjacent elements at once. An instruction works on the result of the one before, which stays in
// registers, and on results that were kept in slots of shared memory: registers cannot be told apart by
// a number that is found at run time. Which results are kept, and where, is decided in
// crates/cuda/src/expr.rs, the twin of these structs.
#pragma once
#include "division.cuh"
#include "elementary.cuh"

// How an operand is read, tape::Access.
enum Access : uint32_t { FULL = 0, SAMPLE = 1, CHANNEL = 2, SCALAR = 3 };

// Instead of the number of a slot: the result of the instruction before; nothing is kept.
constexpr uint32_t NO_SLOT = 255;

struct Instruction {
  uint32_t code;  // Operation | a << 8 | b << 16 | keep << 24, the last three being slots; of INPUT, a is
                  // the operand's number
  float x;
  float y;
};

struct Operand {
  Tensor tensor;
  uint32_t access;
  uint32_t wide;  // four elements can be read at once, or are one and the same
};

struct Expr {
  Operand operands[8];
  Instruction steps[24];
  Division row;       // elements of a sample
  Division channels;  // elements of the last extent
  uint32_t length;    // of steps
  uint32_t unused[3];
};

// Threads of a block that runs an expression. Its dynamic shared memory has a multiple of
// SLOT_BYTES for the slots: at most 12, since what lies in n slots takes n − 1 steps to bring together.
constexpr uint32_t EXPR_THREADS = 128;
constexpr uint32_t SLOT_BYTES = EXPR_THREADS * 2 * 16;

// Four adjacent elements: the first, and how many of them there are, at most 4.
struct Run {
  uint32_t at;
  uint32_t len;
};

__device__ __forceinline__ float4 read(const Expr& expr, const Operand& operand, Run run) {
  const Tensor& t = operand.tensor;
  float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  if (operand.access == FULL) {
    if (operand.wide && run.len == 4) return t.load4(run.at);
#pragma unroll
    for (uint32_t l = 0; l < 4; ++l)
      if (l < run.len) v[l] = t.load(run.at + l);
  } else if (operand.access == CHANNEL) {
    const uint32_t c = run.at - expr.channels.quotient(run.at) * expr.channels.by;
    if (operand.wide && run.len == 4) return t.load4(c);
    uint32_t at = c;
#pragma unroll
    for (uint32_t l = 0; l < 4; ++l) {
      if (l < run.len) v[l] = t.load(at);
      at = at + 1 == expr.channels.by ? 0 : at + 1;
    }
  } else if (operand.access == SAMPLE && !operand.wide) {
#pragma unroll
    for (uint32_t l = 0; l < 4; ++l)
      if (l < run.len) v[l] = t.load(expr.row.quotient(run.at + l));
  } else if (run.len > 0) {
    const float one = t.load(operand.access == SAMPLE ? expr.row.quotient(run.at) : 0);
    return make_float4(one, one, one, one);
  }
  return make_float4(v[0], v[1], v[2], v[3]);
}

// Computes the expression at the elements of two runs. `slots` begins the block's slots.
__device__ __forceinline__ void evaluate(const Expr& expr, const Run (&runs)[2], void* slots,
                                         float4 (&result)[2]) {
  float4* own = static_cast<float4*>(slots) + threadIdx.x;
  float4 last[2] = {make_float4(0.0f, 0.0f, 0.0f, 0.0f), make_float4(0.0f, 0.0f, 0.0f, 0.0f)};
#pragma unroll 1
  for (uint32_t i = 0; i < expr.length; ++i) {
    const uint32_t code = expr.steps[i].code;
    const float x = expr.steps[i].x, y = expr.steps[i].y;
    const uint32_t op = code & 255, slot_a = code >> 8 & 255, slot_b = code >> 16 & 255;
    const uint32_t keep = code >> 24;
    if (op == INPUT) {
      const Operand& operand = expr.operands[slot_a];
#pragma unroll
      for (uint32_t h = 0; h < 2; ++h) last[h] = read(expr, operand, runs[h]);
    } else {
      float4 a[2], b[2];
#pragma unroll
      for (uint32_t h = 0; h < 2; ++h) {
        a[h] = slot_a == NO_SLOT ? last[h] : own[(2 * slot_a + h) * EXPR_THREADS];
        b[h] = slot_b == NO_SLOT ? last[h] : own[(2 * slot_b + h) * EXPR_THREADS];
      }
#define CASE(OP)                                                        \
  case OP:                                                              \
    for (uint32_t h = 0; h < 2; ++h) last[h] = apply<OP>(a[h], b[h], x, y); \
    break
      switch (op) {
        CASE(CONSTANT);
        CASE(AFFINE);
        CASE(LEAKY);
        CASE(TANH);
        CASE(SIGMOID);
        CASE(SOFTPLUS);
        CASE(SQRT);
        CASE(SQUARE);
        CASE(RECIPROCAL);
        CASE(ADD);
        CASE(SUB);
        CASE(MUL);
        CASE(DIV);
        CASE(GATE);
      }
#undef CASE
    }
    if (keep != NO_SLOT) {
#pragma unroll
      for (uint32_t h = 0; h < 2; ++h) own[(2 * keep + h) * EXPR_THREADS] = last[h];
    }
  }
#pragma unroll
  for (uint32_t h = 0; h < 2; ++h) result[h] = last[h];
}
