// Kernels on small tensors under AddressSanitizer and UndefinedBehaviorSanitizer: a file for each file of
// kernels, which it includes. Every tensor is an allocation of exactly its size, so whatever a kernel reads
// or writes beside it is caught. Numbers are compared with plain loops in f64.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tensor.cuh"

namespace drive {

// A tensor with memory of its own.
struct Array {
  Type type;
  uint32_t len;
  std::shared_ptr<void> memory;

  // Garbage, as on a GPU.
  Array(Type type, uint32_t len) : type(type), len(len) {
    const size_t bytes = size_t(len) * (type == F32 ? 4 : type == BF16 ? 2 : 1);
    memory = std::shared_ptr<void>(malloc(bytes), free);
    memset(memory.get(), stand_in::GARBAGE, bytes);
  }
  uint64_t at() const { return reinterpret_cast<uint64_t>(memory.get()); }
  Tensor tensor() const { return Tensor{at(), type, len}; }
  operator Tensor() const { return tensor(); }
  float operator[](size_t i) const { return tensor().load(uint32_t(i)); }
  void set(size_t i, float x) const {
    if (type == U8)
      tensor().of<uint8_t>()[i] = uint8_t(x);
    else
      tensor().store(uint32_t(i), x);
  }
};

constexpr Tensor NONE{0, F32, 0};

// Numbers of at most seven bits, so that neither bf16 nor tf32 rounds them: what is left is the rounding of
// sums in f32.
inline Array random(Type type, uint32_t len, uint32_t seed) {
  Array made(type, len);
  uint32_t state = seed * 2654435761u + 1;
  for (uint32_t i = 0; i < len; ++i) {
    state = state * 1664525u + 1013904223u;
    const int draw = int(state >> 16) % 128;
    made.set(i, type == U8 ? float(draw) : float(draw - 64) / 32.0f + 1.0f / 64.0f);
  }
  return made;
}

inline Array filled(uint32_t len, float x) {
  Array made(F32, len);
  for (uint32_t i = 0; i < len; ++i) made.set(i, x);
  return made;
}

// Rounding of sums of some thousand products of these numbers in f32, and of one number in bf16.
constexpr double EXACT = 1e-5, ROUNDED = 1.0 / 256;

// Runs a kernel, which counts as driven then.
void run(const char* kernel, dim3 grid, uint32_t threads, uint32_t shared, const void* params, size_t bytes);
template <class Params>
void run(const char* kernel, dim3 grid, uint32_t threads, uint32_t shared, const Params& params) {
  run(kernel, grid, threads, shared, &params, sizeof params);
}

// Compares with what a loop says; the largest difference counts as a share of the largest magnitude.
void expect(const std::string& what, const Array& found, const std::function<double(uint32_t)>& wanted, double tolerance);

// A function that drives some kernels; it runs if it is asked for by name, or if nothing is.
struct Case {
  const char* name;
  void (*body)();
  Case* next;
  Case(const char* name, void (*body)());
};
#define CASE(name)                            \
  static void case_##name();                  \
  static drive::Case registered_case_##name(#name, case_##name); \
  static void case_##name()

}  // namespace drive
