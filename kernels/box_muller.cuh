// Two normal numbers from two words (Box & Muller 1958), bit for bit those of the kernels on cores: the
// functions are those of crates/cpu/src/kernels/math.rs, for the arguments that occur here.
#pragma once
#include "philox.cuh"

// An f32 whose sums and products are rounded each by itself. The compiler fuses plain ones.
struct Rounded {
  float x;
  __device__ __forceinline__ Rounded(float x) : x(x) {}
};
__device__ __forceinline__ Rounded operator+(Rounded a, Rounded b) { return __fadd_rn(a.x, b.x); }
__device__ __forceinline__ Rounded operator-(Rounded a, Rounded b) { return __fadd_rn(a.x, -b.x); }
__device__ __forceinline__ Rounded operator*(Rounded a, Rounded b) { return __fmul_rn(a.x, b.x); }
__device__ __forceinline__ Rounded operator/(Rounded a, Rounded b) { return __fdiv_rn(a.x, b.x); }

// ln x for x in (0, 1] that is not subnormal. With x = 2ᵏ · m, m in [√½, √2), f = m − 1, s = f / (2 + f), it is
// k · ln 2 + 2 artanh s, written so that f itself is not rounded.
__device__ __forceinline__ Rounded ln(float x) {
  const uint32_t bits = __float_as_uint(x);
  const int32_t n = int32_t(bits - 0x3f3504f3u) >> 23;
  const Rounded f = Rounded(__uint_as_float(bits - (uint32_t(n) << 23))) - 1.0f, k = float(n);
  const Rounded s = f / (Rounded(2.0f) + f), z = s * s;
  Rounded tail = 0.24091321f;
  tail = tail * z + 0.2148784f;
  tail = tail * z + 0.2861082f;
  tail = tail * z + 0.39999124f;
  tail = tail * z + 0.66666675f;
  const Rounded more = k * -0.00021219444f;
  return k * 0.6933594f + (f - (s * (f - z * tail) - more));
}

// Sine and cosine of t turns, t in [0, 1): t = n / 4 + r with |r| ≤ ⅛, polynomials in r, and quarter turns.
struct SinCos {
  Rounded sin, cos;
};
__device__ __forceinline__ SinCos sin_cos_2pi(Rounded t) {
  const Rounded round = 12582912.0f;  // 1.5 · 2²³: adding it rounds to an integer, found in the low bits
  const Rounded shifted = Rounded(4.0f) * t + round, k = shifted - round;
  const uint32_t n = __float_as_uint(shifted.x) - __float_as_uint(round.x);
  const Rounded r = t - Rounded(0.25f) * k, z = r * r;
  Rounded a = 41.5156f;
  a = a * z + -76.699265f;
  a = a * z + 81.60522f;
  a = a * z + -41.3417f;
  const Rounded sin = r * 6.2831855f + r * (Rounded(-1.7484555e-7f) + z * a);
  Rounded b = 59.266365f;
  b = b * z + -85.44439f;
  b = b * z + 64.93933f;
  b = b * z + -19.739208f;
  const Rounded cos = Rounded(1.0f) + z * b;
  const float first = n & 1 ? cos.x : sin.x, second = n & 1 ? sin.x : cos.x;
  return SinCos{n & 2 ? -first : first, (n + 1) & 2 ? -second : second};
}

// √(−2 ln u) · cos 2πv and √(−2 ln u) · sin 2πv with u = 1 − uniform(a) in (0, 1] and v = uniform(b).
__device__ __forceinline__ void box_muller(uint32_t a, uint32_t b, float& first, float& second) {
  const Rounded log = ln((Rounded(1.0f) - uniform24(a)).x);
  const Rounded radius = __fsqrt_rn(-(log + log).x);
  const SinCos turn = sin_cos_2pi(uniform24(b));
  first = (radius * turn.cos).x;
  second = (radius * turn.sin).x;
}
