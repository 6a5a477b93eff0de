// Sums, and what else turns tensors into few numbers.
#include "reduce.cu"

#include "drive.h"

namespace drive {

namespace {

void rows(uint32_t count, uint32_t each, uint32_t piece, Type type) {
  const uint32_t pieces = (each + piece - 1) / piece;
  const Array x = random(type, count * each, 1), parts(F32, count * pieces);
  run("sum_rows", dim3(count * pieces), 256, 0, SumRowsParams{x, parts, each, piece, pieces, count == 1 || each % 4 == 0});
  expect("sum_rows", parts, [&](uint32_t i) {
    double sum = 0.0;
    for (uint32_t j = i % pieces * piece; j < std::min(each, i % pieces * piece + piece); ++j) sum += x[i / pieces * each + j];
    return sum;
  }, EXACT);
}

void columns(uint32_t rows, uint32_t count, uint32_t piece, uint32_t across, Type type) {
  const uint32_t pieces = (rows + piece - 1) / piece, wide = count % 4 == 0, threads = wide ? count / 4 : count;
  const Array x = random(type, rows * count, 1), parts(F32, pieces * count);
  run("sum_columns", dim3((threads + across - 1) / across, pieces), 256, 0,
      SumColumnsParams{x, parts, rows, count, piece, across, wide, 0});
  expect("sum_columns", parts, [&](uint32_t i) {
    double sum = 0.0;
    for (uint32_t r = i / count * piece; r < std::min(rows, (i / count + 1) * piece); ++r) sum += x[r * count + i % count];
    return sum;
  }, EXACT);
}

void parts(uint32_t sums, uint32_t count, uint32_t sum_stride, uint32_t part_stride, uint32_t lanes) {
  const uint32_t len = count ? (sums - 1) * sum_stride + (count - 1) * part_stride + 1 : 0;
  const Array x = random(F32, len, 1), y(F32, sums);
  run("sum_parts", dim3((sums + 256 / lanes - 1) / (256 / lanes)), 256, 0, SumPartsParams{x, y, count, sum_stride, part_stride, lanes});
  expect("sum_parts", y, [&](uint32_t s) {
    double sum = 0.0;
    for (uint32_t j = 0; j < count; ++j) sum += x[s * sum_stride + j * part_stride];
    return sum;
  }, EXACT);
}

}  // namespace

CASE(reduce) {
  rows(1, 5003, 2048, F32);
  rows(3, 1500, 1024, BF16);
  rows(4, 301, 512, F32);
  columns(70, 12, 64, 4, BF16);
  columns(300, 45, 128, 32, F32);
  columns(9, 136, 8, 32, F32);
  parts(300, 5, 1, 300, 1);
  parts(3, 1000, 1000, 1, 256);
  parts(7, 20, 1, 7, 4);
  parts(2, 0, 0, 0, 1);

  PackParams packed{};
  const Array first = random(F32, 3, 1), second = random(BF16, 1, 2), both(F32, 2);
  packed.x[0] = first, packed.x[1] = second, packed.y = both, packed.count = 2;
  run("pack", dim3(1), 32, 0, packed);
  expect("pack", both, [&](uint32_t i) { return i ? second[0] : first[0]; }, 0.0);

  for (const Type type : {F32, BF16})
    for (const uint32_t bad : {0u, 17u, 5001u, 5002u, 6000u}) {
      const Array x = random(type, 5003, 1), flag(F32, 1);
      if (bad < x.len) x.set(bad, bad % 2 ? INFINITY : NAN);
      run("find_not_finite", dim3(1), 1024, 0, FindNotFiniteParams{x, flag, 1, 0});
      expect("find_not_finite", flag, [&](uint32_t) { return bad < x.len; }, 0.0);
    }
}

}  // namespace drive
