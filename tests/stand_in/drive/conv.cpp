// What follows a convolution is driven with the convolutions (conv_cases.h), and here where rows are many.
#include "conv.cu"

#include "product.h"

namespace drive {

CASE(conv) {
  const uint32_t rows = 37, columns = 45;
  const Array partials = random(F32, rows * columns, 1), sums(F32, columns + 1);
  run("conv_sums", dim3((columns + 31) / 32), 256, 2048, ConvSumsParams{partials.at(), sums.at(), rows, columns, 7, 0});
  expect("conv_sums", sums, [&](uint32_t i) {
    double sum = 0.0;
    for (uint32_t row = 0; row < rows; ++row) sum += partials[row * columns + i % columns];
    return i == columns ? 7.0 : sum;
  }, EXACT);

  const Array parts = random(F32, 3 * 50, 2), y(BF16, 50), other = random(BF16, 50, 3);
  PartsParams p{};
  p.y = y, p.other = other, p.parts = parts.at(), p.count = 3, p.adds = 1;
  run("conv_parts", dim3(1), 256, 0, p);
  expect("conv_parts", y, [&](uint32_t i) { return double(parts[i]) + parts[50 + i] + parts[100 + i] + other[i]; }, ROUNDED);
}

}  // namespace drive
