// Products of matrices.
#include "matmul.cu"

#include "product.h"

namespace drive {

namespace {

const Sizes SIZES{64, 64, 4};

// y = op(a) · op(b): rows and columns that fill no tile, k that fills no step.
void multiply(Type math, bool ta, bool tb, uint32_t m, uint32_t n, uint32_t k, Type type_a, Type type_b, uint32_t parts,
              bool accumulate) {
  const char* maths[] = {"tf32", "bf16", "f32"};
  for (int which = 0; which < 3; ++which) {
    if ((math == BF16) != (which == 1)) continue;
    const std::string name = std::string("matmul_") + maths[which] + "_" + (ta ? "t" : "n") + (tb ? "t" : "n");
    const Array a = random(type_a, m * k, 1), b = random(type_b, k * n, 2), other = random(F32, m * n, 3);
    const auto wanted = [&](uint32_t i) {
      const uint32_t row = i / n, column = i % n;
      double sum = accumulate ? other[i] : 0.0;
      for (uint32_t j = 0; j < k; ++j)
        sum += double(a[ta ? j * m + row : row * k + j]) * b[tb ? column * k + j : j * n + column];
      return sum;
    };
    const uint32_t chunk = math == BF16 ? 8 : 4, steps = (k + step(math) - 1) / step(math);
    const Array y(F32, m * n), workspace(F32, parts * m * n);
    MatmulParams p{};
    p.a = a;
    p.b = b;
    p.finish = plain(parts == 1 ? y : workspace, n);
    if (parts == 1 && accumulate) p.finish.kind = FINISH_ACCUMULATE, p.finish.other = other;
    p.m = int32_t(m), p.n = int32_t(n), p.k = int32_t(k);
    p.steps = int32_t((steps + parts - 1) / parts);
    p.a_chunks = type_a == math && (ta ? m : k) % chunk == 0;
    p.b_chunks = type_b == math && (tb ? k : n) % chunk == 0;
    run(name.c_str(), dim3(SIZES.tiles(m, n), 1, parts), 128, SIZES.shared(), p);
    if (parts == 1)
      expect(name, y, wanted, EXACT);
    else
      add_up("matmul_parts", workspace, parts, y, accumulate ? other.tensor() : NONE, wanted);
  }
}

}  // namespace

CASE(matmul) {
  for (const Type math : {BF16, F32})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        multiply(math, ta, tb, 72, 40, 104, math, math, 1, false);
        multiply(math, ta, tb, 35, 71, 45, BF16, F32, 1, true);
        multiply(math, ta, tb, 16, 72, 200, math, math, 3, true);
        multiply(math, ta, tb, 1, 9, 67, F32, BF16, 2, false);
      }
}

}  // namespace drive
