// What cases of convolutions and matrix products share.
#pragma once
#include "division.cuh"
#include "drive.h"
#include "gemm_finish.cuh"
#include "gemm_parts.cuh"

namespace drive {

inline Division divide_by(uint32_t by) {
  const uint32_t shift = by == 1 ? 0 : 32 - uint32_t(__builtin_clz(by - 1));
  return Division{by, uint32_t((((uint64_t(1) << shift) - by) << 32) / by + 1), shift, 0};
}

// The part of a product that a block owns, and how many steps of 64 bytes its shared memory holds.
struct Sizes {
  uint32_t m, n, stages;

  uint32_t shared() const { return std::max(stages * (m + n) * 64, m * n * 4); }
  uint32_t tiles(uint32_t rows, uint32_t columns) const { return (rows + m - 1) / m * ((columns + n - 1) / n); }
};

// Of a type that is multiplied: elements of a step.
inline uint32_t step(Type type) { return type == BF16 ? 32 : 16; }

inline Finish plain(const Tensor& y, uint32_t columns) {
  Finish finish{};
  finish.y = y;
  finish.slope = 1.0f;
  finish.vector = columns % 4 == 0;
  return finish;
}

// y = Σ parts (+ other), by `kernel`, compared with `wanted`.
inline void add_up(const char* kernel, const Array& parts, uint32_t count, const Array& y, const Tensor& other,
                   const std::function<double(uint32_t)>& wanted) {
  PartsParams p{};
  p.y = y;
  p.other = other;
  p.parts = parts.at();
  p.count = count;
  p.adds = other.len > 0;
  p.vector = y.len % 4 == 0;
  const uint32_t threads = p.vector ? y.len / 4 : y.len;
  run(kernel, dim3((threads + 255) / 256), 256, 0, p);
  expect(kernel, y, wanted, EXACT);
}

}  // namespace drive
