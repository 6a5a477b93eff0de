// The vector types of CUDA, aligned as there.
#pragma once

#define STAND_IN_VECTORS(T, name)                                                        \
  struct name##2 {                                                                       \
    T x, y;                                                                              \
  } __attribute__((aligned(2 * sizeof(T))));                                             \
  struct name##3 {                                                                       \
    T x, y, z;                                                                           \
  };                                                                                     \
  struct name##4 {                                                                       \
    T x, y, z, w;                                                                        \
  } __attribute__((aligned(sizeof(T) > 4 ? 16 : 4 * sizeof(T))));                        \
  static inline name##2 make_##name##2(T x, T y) { return name##2{x, y}; }               \
  static inline name##3 make_##name##3(T x, T y, T z) { return name##3{x, y, z}; }       \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { return name##4{x, y, z, w}; }

STAND_IN_VECTORS(signed char, char)
STAND_IN_VECTORS(unsigned char, uchar)
STAND_IN_VECTORS(short, short)
STAND_IN_VECTORS(unsigned short, ushort)
STAND_IN_VECTORS(int, int)
STAND_IN_VECTORS(unsigned, uint)
STAND_IN_VECTORS(long long, longlong)
STAND_IN_VECTORS(unsigned long long, ulonglong)
STAND_IN_VECTORS(float, float)
STAND_IN_VECTORS(double, double)
#undef STAND_IN_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
