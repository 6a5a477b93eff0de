// Sums of expressions.
#include "loss.cu"

#include "expressions.h"

namespace drive {

// `sums` sums over rows · row / sums adjacent elements each, in pieces.
static void sum(uint32_t rows, uint32_t row, uint32_t channels, Type type, uint32_t sums, uint32_t piece) {
  const uint32_t each = rows * row / sums, pieces = (each + piece - 1) / piece;
  const Expression f(rows, row, channels, type, sums == 1 || each % 4 == 0);
  const Array parts(F32, sums * pieces);
  MapSumParams p{};
  p.expr = f.program();
  p.parts = parts;
  p.each = each, p.piece = piece, p.pieces = pieces;
  run("map_sum", dim3(sums * pieces), EXPR_THREADS, Expression::SHARED, p);
  expect("map_sum", parts, [&](uint32_t i) {
    const uint32_t from = i / pieces * each + i % pieces * piece, to = std::min(i / pieces * each + each, from + piece);
    double total = 0.0;
    for (uint32_t at = from; at < to; ++at) total += f.at(at);
    return total;
  }, 10 * EXACT);
}

CASE(loss) {
  sum(3, 1500, 20, BF16, 1, 1024);
  sum(5, 45, 5, F32, 5, 1024);
  sum(4, 2052, 4, F32, 4, 2048);
  sum(1, 1, 1, F32, 1, 1024);
}

}  // namespace drive
