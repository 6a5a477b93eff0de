// Elementwise functions, and maxout.
#include "activation.cu"

#include "expressions.h"

namespace drive {

namespace {

void maps(uint32_t rows, uint32_t row, uint32_t channels, Type type, Type result, uint32_t blocks) {
  const Expression f(rows, row, channels, type, true);
  const Array y(result, rows * row);
  MapParams p{};
  p.expr = f.program();
  p.y = y;
  p.wide = 1;
  run("map", dim3(blocks), EXPR_THREADS, Expression::SHARED, p);
  expect("map", y, [&](uint32_t i) { return f.at(i); }, result == BF16 ? ROUNDED : EXACT);
}

void direct(uint32_t len, Type type) {
  const Array a = random(type, len, 1), b = random(type, len, 2);
  const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  for (const Operation operation : {INPUT, CONSTANT, AFFINE, LEAKY, TANH, SIGMOID, ADD, SUB, MUL, GATE}) {
    const Array y(type, len);
    run("map_direct", dim3(2), 256, 0, MapDirectParams{a, b, y, operation, 0.25f, 0.5f, 0});
    expect("map_direct " + std::to_string(operation), y, [&](uint32_t i) -> double {
      const double x = a[i], z = b[i];
      switch (operation) {
        case INPUT: return x;
        case CONSTANT: return 0.25;
        case AFFINE: return 0.25 * x + 0.5;
        case LEAKY: return x > 0 ? x : 0.25 * x;
        case TANH: return std::tanh(x);
        case SIGMOID: return sigmoid(x);
        case ADD: return x + z;
        case SUB: return x - z;
        case MUL: return x * z;
        default: return z > 0 ? x : 0.25 * x;
      }
    }, type == BF16 ? ROUNDED : EXACT);
  }
}

void maxout(uint32_t units, uint32_t pieces, Type type) {
  const Array x = random(type, units * pieces, 1), v = random(type, units * pieces, 2), dy = random(type, units, 3);
  const Array y(type, units), dx(type, units * pieces);
  const auto winner = [&](uint32_t unit) {
    uint32_t at = unit * pieces;
    for (uint32_t i = at; i < (unit + 1) * pieces; ++i)
      if (x[i] > x[at]) at = i;
    return at;
  };
  run("maxout_pick", dim3(1), 256, 0, MaxoutParams{v, x, y, pieces, 0});
  expect("maxout_pick", y, [&](uint32_t i) { return v[winner(i)]; }, 0.0);
  run("maxout_scatter", dim3(1), 256, 0, MaxoutParams{dy, x, dx, pieces, 0});
  expect("maxout_scatter", dx, [&](uint32_t i) { return winner(i / pieces) == i ? dy[i / pieces] : 0.0; }, 0.0);
}

}  // namespace

CASE(activation) {
  maps(3, 500, 20, BF16, F32, 1);
  maps(7, 45, 5, F32, BF16, 2);
  maps(1, 3, 3, F32, F32, 1);
  direct(5003, F32);
  direct(1026, BF16);
  maxout(300, 5, F32);
  maxout(7, 3, BF16);
}

}  // namespace drive
