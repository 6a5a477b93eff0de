// Functions of one thread that CUDA has and C++ lacks. What CUDA only approximates is exact here.
#pragma once

#define STAND_IN_BITS(name, To, From)                                        \
  static inline To name(From x) {                                            \
    static_assert(sizeof(To) == sizeof(From), "the same bits");              \
    To y;                                                                    \
    memcpy(&y, &x, sizeof y);                                                \
    return y;                                                                \
  }
STAND_IN_BITS(__uint_as_float, float, unsigned)
STAND_IN_BITS(__float_as_uint, unsigned, float)
STAND_IN_BITS(__int_as_float, float, int)
STAND_IN_BITS(__float_as_int, int, float)
STAND_IN_BITS(__longlong_as_double, double, long long)
STAND_IN_BITS(__double_as_longlong, long long, double)
#undef STAND_IN_BITS

static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
static inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int i = 0; i < 32; ++i) y |= (x >> i & 1) << (31 - i);
  return y;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
  return unsigned((uint64_t(high) << 32 | low) << (by & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
  return unsigned((uint64_t(high) << 32 | low) >> (by & 31));
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const uint64_t bytes = uint64_t(b) << 32 | a;
  unsigned y = 0;
  for (int i = 0; i < 4; ++i) y |= unsigned(bytes >> (selector >> 4 * i & 7) * 8 & 255) << 8 * i;
  return y;
}

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
// The C library has functions of these names, which do nothing else.
#define __expf expf
#define __exp10f exp10f
#define __logf logf
#define __log2f log2f
#define __sinf sinf
#define __cosf cosf
#define __powf powf
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __frsqrt_rn(float x) { return float(1.0 / sqrt(double(x))); }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline double __ddiv_rn(double x, double y) { return x / y; }
static inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
static inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
static inline float sinpif(float x) { return float(sin(M_PI * fmod(double(x), 2.0))); }
static inline float cospif(float x) { return float(cos(M_PI * fmod(double(x), 2.0))); }
static inline void sincospif(float x, float* s, float* c) {
  *s = sinpif(x);
  *c = cospif(x);
}

static inline int __float2int_rn(float x) { return int(nearbyintf(x)); }
static inline int __float2int_rz(float x) { return int(x); }
static inline int __float2int_rd(float x) { return int(floorf(x)); }
static inline unsigned __float2uint_rn(float x) { return x > 0.0f ? unsigned(nearbyintf(x)) : 0; }
static inline unsigned __float2uint_rz(float x) { return x > 0.0f ? unsigned(x) : 0; }
static inline float __int2float_rn(int x) { return float(x); }
static inline float __uint2float_rn(unsigned x) { return float(x); }
static inline float __ull2float_rn(unsigned long long x) { return float(x); }
static inline float __double2float_rn(double x) { return float(x); }

#define STAND_IN_ORDER(T)                                    \
  static inline T min(T a, T b) { return b < a ? b : a; }    \
  static inline T max(T a, T b) { return a < b ? b : a; }
STAND_IN_ORDER(int)
STAND_IN_ORDER(unsigned)
STAND_IN_ORDER(long)
STAND_IN_ORDER(unsigned long)
STAND_IN_ORDER(long long)
STAND_IN_ORDER(unsigned long long)
#undef STAND_IN_ORDER
static inline unsigned min(unsigned a, int b) { return min(a, unsigned(b)); }
static inline unsigned min(int a, unsigned b) { return min(unsigned(a), b); }
static inline unsigned max(unsigned a, int b) { return max(a, unsigned(b)); }
static inline unsigned max(int a, unsigned b) { return max(unsigned(a), b); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

template <class T>
static inline T __ldg(const T* at) {
  return *at;
}
template <class T>
static inline T __ldcg(const T* at) {
  return *at;
}
template <class T>
static inline T __ldcs(const T* at) {
  return *at;
}
template <class T>
static inline void __stcs(T* at, T x) {
  *at = x;
}
static inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void __threadfence_block() {}
static inline void __threadfence_system() { __threadfence(); }
[[noreturn]] static inline void __trap() { stand_in::fail(*stand_in::self().warp->block, "__trap()"); }

// Integers only: sums of floats in an order left to chance are not the same twice.
#define STAND_IN_ATOMIC(T)                                                                              \
  static inline T atomicAdd(T* at, T x) { return __atomic_fetch_add(at, x, __ATOMIC_SEQ_CST); }         \
  static inline T atomicSub(T* at, T x) { return __atomic_fetch_sub(at, x, __ATOMIC_SEQ_CST); }         \
  static inline T atomicOr(T* at, T x) { return __atomic_fetch_or(at, x, __ATOMIC_SEQ_CST); }           \
  static inline T atomicAnd(T* at, T x) { return __atomic_fetch_and(at, x, __ATOMIC_SEQ_CST); }         \
  static inline T atomicXor(T* at, T x) { return __atomic_fetch_xor(at, x, __ATOMIC_SEQ_CST); }         \
  static inline T atomicExch(T* at, T x) { return __atomic_exchange_n(at, x, __ATOMIC_SEQ_CST); }       \
  static inline T atomicCAS(T* at, T is, T x) {                                                         \
    __atomic_compare_exchange_n(at, &is, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                 \
    return is;                                                                                          \
  }                                                                                                     \
  static inline T atomicMax(T* at, T x) {                                                               \
    T old = __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                      \
    while (old < x && !__atomic_compare_exchange_n(at, &old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { \
    }                                                                                                   \
    return old;                                                                                         \
  }                                                                                                     \
  static inline T atomicMin(T* at, T x) {                                                               \
    T old = __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                      \
    while (x < old && !__atomic_compare_exchange_n(at, &old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { \
    }                                                                                                   \
    return old;                                                                                         \
  }
STAND_IN_ATOMIC(int)
STAND_IN_ATOMIC(unsigned)
STAND_IN_ATOMIC(unsigned long long)
#undef STAND_IN_ATOMIC
