// Draws. Which numbers they are is compared with the cores elsewhere; here, that each place is written once and
// that the draws look like what they are drawn from.
#include "noise.cu"

#include "drive.h"

namespace drive {

// Mean and variance over all elements.
static void expect_moments(const char* what, const Array& y, double mean, double variance) {
  double sum = 0.0, squares = 0.0;
  for (uint32_t i = 0; i < y.len; ++i) sum += y[i];
  for (uint32_t i = 0; i < y.len; ++i) squares += (y[i] - sum / y.len) * (y[i] - sum / y.len);
  const Array found(F32, 2);
  found.set(0, float(sum / y.len));
  found.set(1, float(squares / y.len));
  // Four standard errors of a mean of 1200 draws of this variance.
  expect(what, found, [&](uint32_t i) { return i ? variance : mean; }, 0.12);
}

CASE(noise) {
  Clock clock{};
  clock.seed = 0x123456789abcdefull;
  clock.tick = 7;
  clock.rank = 1;
  for (const uint32_t row : {100u, 101u})
    for (const Type type : {F32, BF16}) {
      const uint32_t rows = 12, len = rows * row, threads = rows * ((row + 3) / 4);
      const Draw draw{reinterpret_cast<uint64_t>(&clock), 3, 2, rows, row, 0, 0};
      const dim3 grid((threads + 255) / 256);
      const Array uniform(type, len), normal(type, len), x = random(type, len, 1), y(type, len);
      run("uniform", grid, 256, 0, UniformParams{uniform, draw, 0.0f, 2.0f});
      expect_moments("uniform", uniform, 1.0, 1.0 / 3.0);
      run("normal", grid, 256, 0, NormalParams{normal, draw, 1.0f, 1.0f});
      expect_moments("normal", normal, 1.0, 1.0);
      // The same words decide as make the uniform draws: u < keep.
      run("dropout", grid, 256, 0, DropoutParams{x, y, draw, 1 << 23, 2.0f});
      const Array exact(F32, len);
      run("uniform", grid, 256, 0, UniformParams{exact, draw, 0.0f, 1.0f});
      expect("dropout", y, [&](uint32_t i) { return exact[i] < 0.5f ? 2.0 * x[i] : 0.0; }, 0.0);
    }
}

}  // namespace drive
