// Blocks of 2×2 pixels.
#include "pool.cu"

#include "product.h"

namespace drive {

static void pool(uint32_t n, uint32_t h, uint32_t w, uint32_t c, Type type) {
  const uint32_t large = n * h * w * c, small = large / 4, wide = c % 4 == 0;
  const Array x = random(type, large, 1), v = random(type, large, 2), dy = random(type, small, 3);
  const Array picked(type, small), scattered(type, large), spread(type, large), summed(type, small);
  // The four pixels of block i, and the block of pixel i.
  const auto pixel = [&](uint32_t i, uint32_t k) {
    const uint32_t q = i / c % (w / 2), p = i / c / (w / 2) % (h / 2), image = i / c / (w / 2) / (h / 2);
    return ((image * h + 2 * p + k / 2) * w + 2 * q + k % 2) * c + i % c;
  };
  const auto block = [&](uint32_t i) {
    const uint32_t column = i / c % w, row = i / c / w % h, image = i / c / w / h;
    return ((image * (h / 2) + row / 2) * (w / 2) + column / 2) * c + i % c;
  };
  const auto winner = [&](uint32_t i) {
    uint32_t best = 0;
    for (uint32_t k = 1; k < 4; ++k)
      if (x[pixel(i, k)] > x[pixel(i, best)]) best = k;
    return pixel(i, best);
  };
  const Division channels = divide_by(wide ? c / 4 : c), line = divide_by(w / 2);
  const uint32_t count = wide ? small / 4 : small;
  const dim3 grid((count + 511) / 512);
  run("pool_pick", grid, 256, 0, PoolParams{v, x, picked, channels, line, count, wide});
  expect("pool_pick", picked, [&](uint32_t i) { return v[winner(i)]; }, 0.0);
  run("pool_scatter", grid, 256, 0, PoolParams{dy, x, scattered, channels, line, count, wide});
  expect("pool_scatter", scattered, [&](uint32_t i) { return winner(block(i)) == i ? dy[block(i)] : 0.0; }, 0.0);
  run("upsample", grid, 256, 0, PoolParams{dy, NONE, spread, channels, line, count, wide});
  expect("upsample", spread, [&](uint32_t i) { return dy[block(i)]; }, 0.0);
  run("block_sum", grid, 256, 0, PoolParams{v, NONE, summed, channels, line, count, wide});
  expect("block_sum", summed, [&](uint32_t i) {
    return double(v[pixel(i, 0)]) + v[pixel(i, 1)] + v[pixel(i, 2)] + v[pixel(i, 3)];
  }, type == BF16 ? ROUNDED : EXACT);
}

CASE(pool) {
  pool(2, 6, 10, 24, F32);
  pool(3, 4, 6, 5, BF16);
  pool(1, 2, 2, 4, BF16);
  pool(1, 8, 2, 1, F32);
}

}  // namespace drive
