// An expression for cases, f(a, b, c, d) = leaky(a · b + c) · d: operands read in all four ways, and results
// that are kept in slots.
#pragma once
#include "drive.h"
#include "expr.cuh"
#include "product.h"

namespace drive {

struct Expression {
  uint32_t rows, row, channels;
  Array a, b, c, d;  // by element, by row, by channel, one
  bool fours;        // whether runs begin at multiples of four

  Expression(uint32_t rows, uint32_t row, uint32_t channels, Type type, bool fours)
      : rows(rows), row(row), channels(channels), a(random(type, rows * row, 1)), b(random(F32, rows, 2)),
        c(random(F32, channels, 3)), d(random(F32, 1, 4)), fours(fours) {}

  static uint32_t code(Operation operation, uint32_t a, uint32_t b, uint32_t keep) {
    return operation | a << 8 | b << 16 | keep << 24;
  }
  Expr program() const {
    Expr e{};
    const bool whole_row = fours && row % 4 == 0, whole_channels = fours && channels % 4 == 0;
    e.operands[0] = {a, FULL, fours};
    e.operands[1] = {b, SAMPLE, whole_row};
    e.operands[2] = {c, CHANNEL, whole_channels};
    e.operands[3] = {d, SCALAR, 1};
    e.steps[0] = {code(INPUT, 3, NO_SLOT, 0), 0, 0};
    e.steps[1] = {code(INPUT, 0, NO_SLOT, 1), 0, 0};
    e.steps[2] = {code(INPUT, 1, NO_SLOT, NO_SLOT), 0, 0};
    e.steps[3] = {code(MUL, 1, NO_SLOT, 1), 0, 0};
    e.steps[4] = {code(INPUT, 2, NO_SLOT, NO_SLOT), 0, 0};
    e.steps[5] = {code(ADD, 1, NO_SLOT, NO_SLOT), 0, 0};
    e.steps[6] = {code(LEAKY, NO_SLOT, NO_SLOT, NO_SLOT), 0.25f, 0};
    e.steps[7] = {code(MUL, NO_SLOT, 0, NO_SLOT), 0, 0};
    e.row = divide_by(row);
    e.channels = divide_by(channels);
    e.length = 8;
    return e;
  }
  static constexpr uint32_t SHARED = 2 * SLOT_BYTES;

  double at(uint32_t i) const {
    const double x = double(a[i]) * b[i / row] + c[i % channels];
    return (x > 0 ? x : 0.25 * x) * d[0];
  }
};

}  // namespace drive
