// The functions of one and two values that expressions are made of: tape::Unary and tape::Binary.
#pragma once
#include "tensor.cuh"

// What an instruction does. The numbers are those of crates/cuda/src/expr.rs.
enum Operation : uint32_t {
  INPUT = 0,     // an operand
  CONSTANT = 1,  // x
  AFFINE = 2,    // x · a + y
  LEAKY = 3,     // a > 0 ? a : x · a
  TANH = 4,
  SIGMOID = 5,
  SOFTPLUS = 6,
  SQRT = 7,
  SQUARE = 8,
  RECIPROCAL = 9,
  ADD = 10,
  SUB = 11,
  MUL = 12,
  DIV = 13,
  GATE = 14,  // b > 0 ? a : x · a
};

// One function of one element. Comparisons are written so that NaN comes through, and neither the sigmoid
// nor the softplus computes e to a positive power, so that nothing overflows.
template <Operation OP>
__device__ __forceinline__ float apply(float a, float b, float x, float y) {
  if constexpr (OP == CONSTANT) return x;
  if constexpr (OP == AFFINE) return x * a + y;
  if constexpr (OP == LEAKY) return a > 0.0f ? a : x * a;
  if constexpr (OP == TANH) return tanhf(a);
  if constexpr (OP == SIGMOID) {
    const float e = expf(-fabsf(a));
    return (a < 0.0f ? e : 1.0f) / (1.0f + e);
  }
  if constexpr (OP == SOFTPLUS) return (a > 0.0f ? a : 0.0f) + log1pf(expf(-fabsf(a)));
  if constexpr (OP == SQRT) return sqrtf(a);
  if constexpr (OP == SQUARE) return a * a;
  if constexpr (OP == RECIPROCAL) return 1.0f / a;
  if constexpr (OP == ADD) return a + b;
  if constexpr (OP == SUB) return a - b;
  if constexpr (OP == MUL) return a * b;
  if constexpr (OP == DIV) return a / b;
  if constexpr (OP == GATE) return b > 0.0f ? a : x * a;
  return a;
}

template <Operation OP>
__device__ __forceinline__ float4 apply(float4 a, float4 b, float x, float y) {
  return make_float4(apply<OP>(a.x, b.x, x, y), apply<OP>(a.y, b.y, x, y), apply<OP>(a.z, b.z, x, y),
                     apply<OP>(a.w, b.w, x, y));
}
