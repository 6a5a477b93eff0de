// Convolutions of every kernel: all three passes, sizes that fill no tile, and what ends a convolution.
#pragma once
#include "conv.cuh"
#include "product.h"

namespace drive {

struct Geometry {
  int n, h, w, c, p, q, k, r, s, stride, pad;
};

// Reads x, w or y as f64; the output is what the definition says.
struct Definition {
  Geometry g;
  const Array &a, &b;

  // x [n,h,w,c] with zeros around it.
  double pixel(const Array& x, int n, int h, int w, int c) const {
    const bool inside = h >= 0 && h < g.h && w >= 0 && w < g.w;
    return inside ? x[size_t(((n * g.h + h) * g.w + w) * g.c + c)] : 0.0;
  }
  double fprop(int i) const {
    const int k = i % g.k, q = i / g.k % g.q, p = i / g.k / g.q % g.p, n = i / g.k / g.q / g.p;
    double sum = 0.0;
    for (int r = 0; r < g.r; ++r)
      for (int s = 0; s < g.s; ++s)
        for (int c = 0; c < g.c; ++c)
          sum += pixel(a, n, p * g.stride + r - g.pad, q * g.stride + s - g.pad, c) *
                 b[size_t(((k * g.r + r) * g.s + s) * g.c + c)];
    return sum;
  }
  double dgrad(int i) const {
    const int c = i % g.c, w = i / g.c % g.w, h = i / g.c / g.w % g.h, n = i / g.c / g.w / g.h;
    double sum = 0.0;
    for (int r = 0; r < g.r; ++r)
      for (int s = 0; s < g.s; ++s) {
        const int p = h + g.pad - r, q = w + g.pad - s;
        if (p < 0 || q < 0 || p % g.stride || q % g.stride || p / g.stride >= g.p || q / g.stride >= g.q) continue;
        for (int k = 0; k < g.k; ++k)
          sum += double(a[size_t(((n * g.p + p / g.stride) * g.q + q / g.stride) * g.k + k)]) *
                 b[size_t(((k * g.r + r) * g.s + s) * g.c + c)];
      }
    return sum;
  }
  double wgrad(int i) const {
    const int c = i % g.c, s = i / g.c % g.s, r = i / g.c / g.s % g.r, k = i / g.c / g.s / g.r;
    double sum = 0.0;
    for (int n = 0; n < g.n; ++n)
      for (int p = 0; p < g.p; ++p)
        for (int q = 0; q < g.q; ++q)
          sum += double(a[size_t(((n * g.p + p) * g.q + q) * g.k + k)]) *
                 pixel(b, n, p * g.stride + r - g.pad, q * g.stride + s - g.pad, c);
    return sum;
  }
};

inline ConvParams conv_params(const Geometry& g, const Tensor& a, const Tensor& b, int by_channels) {
  ConvParams p{};
  p.a = a;
  p.b = b;
  p.n = g.n, p.h = g.h, p.w = g.w, p.c = g.c, p.p = g.p, p.q = g.q, p.k = g.k;
  p.r = g.r, p.s = g.s, p.stride = g.stride, p.pad = g.pad;
  p.by_p = divide_by(uint32_t(g.p)), p.by_q = divide_by(uint32_t(g.q)), p.by_s = divide_by(uint32_t(g.s));
  p.by_channels = divide_by(uint32_t(by_channels));
  return p;
}

// Sums that a finish leaves: Σ first, Σ second, by column.
inline void expect_sums(const std::string& name, const Array& partials, uint32_t rows, uint32_t columns, uint32_t pixels,
                        const std::function<double(uint32_t)>& wanted) {
  struct {
    uint64_t partials, sums;
    uint32_t rows, columns, pixels, unused;
  } p{partials.at(), 0, rows, 2 * columns, pixels, 0};
  const Array sums(F32, 2 * columns + (pixels ? 1 : 0));
  p.sums = sums.at();
  run("conv_sums", dim3((2 * columns + 31) / 32), 256, 2048, p);
  expect(name + ", its sums", sums, [&](uint32_t i) { return i == 2 * columns ? pixels : wanted(i); }, 10 * EXACT);
}

// Fprop or dgrad by one kernel, ended in one way; on so many blocks with `places` as all shared memory where
// they are not those of tiles.
inline void gather_case(const std::string& name, bool dgrad, const Geometry& g, const Sizes& sizes, uint32_t places,
                        Type type_a, Type type_b, Type type_y, FinishKind kind, uint32_t blocks = 0) {
  const uint32_t features = uint32_t(g.n * g.p * g.q * g.k), image = uint32_t(g.n * g.h * g.w * g.c);
  const Array a = random(type_a, dgrad ? features : image, 1), w = random(type_b, uint32_t(g.k * g.r * g.s * g.c), 2);
  const uint32_t columns = uint32_t(dgrad ? g.c : g.k), phases = dgrad ? uint32_t(g.stride * g.stride) : 1;
  const uint32_t rows = uint32_t(g.n * g.p * g.q), row_tiles = (rows + sizes.m - 1) / sizes.m * phases;
  const Array y(type_y, dgrad ? image : features), other = random(F32, y.len, 3), bias = random(F32, columns, 4);
  const Array statistics = random(F32, 2 * columns, 5), gain = random(F32, columns, 6), shift = random(F32, columns, 7);
  const Array partials(F32, row_tiles * 2 * columns);

  ConvParams p = conv_params(g, a, w, dgrad ? g.k : g.c);
  p.finish = plain(y, columns);
  p.finish.kind = kind;
  if (kind == FINISH_ACTIVATE) p.finish.bias = bias.at(), p.finish.activation = columns % 2 ? TANH : LEAKY;
  if (kind == FINISH_MOMENTS) p.finish.bias = bias.at();
  if (kind == FINISH_ACCUMULATE || kind == FINISH_GATE || kind == FINISH_GRADIENT_SUMS) p.finish.other = other;
  if (kind == FINISH_GRADIENT_SUMS)
    p.finish.statistics = statistics.at(), p.finish.gain = gain.at(), p.finish.shift = shift.at();
  if (kind >= FINISH_MOMENTS) p.finish.partials = partials.at();
  const float slope = p.finish.slope = kind == FINISH_PLAIN ? 1.0f : 0.25f;
  if (blocks)
    run(name.c_str(), dim3(blocks), 128, places, p);
  else
    run(name.c_str(), dim3(sizes.tiles(rows, columns), 1, phases), 128, sizes.shared() + places, p);

  const Definition definition{g, a, w};
  const auto normal = [&](uint32_t i) { return (double(other[i]) - statistics[i % columns]) * statistics[columns + i % columns]; };
  const auto wanted = [&](uint32_t i) {
    const double d = dgrad ? definition.dgrad(int(i)) : definition.fprop(int(i));
    if (kind == FINISH_ACCUMULATE) return d + other[i];
    if (kind == FINISH_GATE) return other[i] > 0 ? d : slope * d;
    if (kind == FINISH_GRADIENT_SUMS) return gain[i % columns] * normal(i) + shift[i % columns] > 0 ? d : slope * d;
    if (kind != FINISH_ACTIVATE) return d;
    const double biased = d + bias[i % columns];
    return columns % 2 ? std::tanh(biased) : biased > 0 ? biased : slope * biased;
  };
  expect(name, y, wanted, type_y == BF16 ? ROUNDED : EXACT);
  if (kind < FINISH_MOMENTS) return;
  // The sums are of y as stored.
  expect_sums(name, partials, row_tiles, columns, kind == FINISH_MOMENTS ? y.len / columns : 0, [&](uint32_t i) {
    double sum = 0.0;
    for (uint32_t at = i % columns; at < y.len; at += columns) {
      const double d = kind == FINISH_MOMENTS ? double(y[at]) - bias[i % columns] : double(y[at]);
      sum += i < columns ? d : d * (kind == FINISH_MOMENTS ? d : normal(at));
    }
    return sum;
  });
}

// Wgrad by one kernel, in one part and in three.
inline void wgrad_case(const std::string& name, const Geometry& g, const Sizes& sizes, Type math, Type type_dy, Type type_x) {
  const uint32_t columns = uint32_t(g.r * g.s * g.c), rows = uint32_t(g.n * g.p * g.q), k = uint32_t(g.k);
  const Array dy = random(type_dy, rows * k, 1), x = random(type_x, uint32_t(g.n * g.h * g.w * g.c), 2);
  const Array other = random(F32, k * columns, 3);
  const Definition definition{g, dy, x};
  const uint32_t steps = (rows + step(math) - 1) / step(math);
  for (const uint32_t parts : {1u, 3u}) {
    const Array y(F32, k * columns), workspace(F32, parts * k * columns);
    ConvParams p = conv_params(g, dy, x, g.c);
    p.steps = int32_t((steps + parts - 1) / parts);
    p.finish = plain(parts == 1 ? y : workspace, columns);
    if (parts == 1) p.finish.kind = FINISH_ACCUMULATE, p.finish.other = other;
    run(name.c_str(), dim3(sizes.tiles(k, columns), 1, parts), 128, sizes.shared(), p);
    const auto wanted = [&](uint32_t i) { return definition.wgrad(int(i)) + other[i]; };
    if (parts == 1)
      expect(name, y, wanted, EXACT);
    else
      add_up("conv_parts", workspace, parts, y, other, wanted);
  }
}

// All kernels of one type that is multiplied. `chunked` are the sizes of those that copy by 16 bytes.
inline void conv_cases(const std::string& math, Type type, std::initializer_list<Sizes> chunked,
                       std::initializer_list<Sizes> chunked_wgrad) {
  // 4×4 of step 2, and 3×3 of step 1; channels that are whole chunks and fill no tile.
  const Geometry halved{3, 10, 6, 24, 5, 3, 72, 4, 4, 2, 1}, same{2, 5, 7, 72, 5, 7, 24, 3, 3, 1, 1};
  const Geometry few{2, 10, 6, 3, 5, 3, 40, 5, 5, 2, 2}, odd{2, 6, 10, 3, 3, 5, 5, 5, 5, 2, 2};
  const auto name = [&](const char* pass, const std::string& rest) { return std::string("conv_") + pass + "_" + math + "_" + rest; };
  const auto size = [](const Sizes& s) { return std::to_string(s.m) + "x" + std::to_string(s.n); };
  int kind = 1;
  for (const bool dgrad : {false, true}) {
    const char* pass = dgrad ? "dgrad" : "fprop";
    for (const Sizes& sizes : chunked) {
      gather_case(name(pass, size(sizes)), dgrad, halved, sizes, 0, type, type, type, FINISH_PLAIN);
      for (int i = 0; i < 3; ++i, kind = kind % 5 + 1)
        gather_case(name(pass, size(sizes)), dgrad, same, sizes, 0, type, type, F32, FinishKind(kind));
    }
    const Sizes elements{64, 64, 2};
    gather_case(name(pass, "elements"), dgrad, odd, elements, 8 * 64, F32, BF16, F32, FINISH_PLAIN);
    gather_case(name(pass, "elements"), dgrad, few, elements, 8 * 64, BF16, F32, BF16, FINISH_ACTIVATE);
    gather_case(name(pass, "elements"), dgrad, odd, elements, 8 * 64, F32, F32, F32, FINISH_MOMENTS);
  }
  gather_case(name("dgrad", "thin"), true, few, Sizes{128, 16, 4}, 0, type, F32, F32, FINISH_PLAIN);
  gather_case(name("dgrad", "thin"), true, few, Sizes{128, 16, 4}, 0, type, BF16, F32, FINISH_ACTIVATE);
  if (math != "f32")
    // One tile of 8×16 pixels covers an image; taps meet 3×3 of its neighbours.
    for (const FinishKind kind : {FINISH_PLAIN, FINISH_ACCUMULATE, FINISH_ACTIVATE, FINISH_GATE})
      gather_case(name("dgrad", "halo"), true, few, Sizes{128, 16, 4}, 128 * (10 * 18 + 9 * 16), type, type, F32, kind, few.n);
  for (const Sizes& sizes : chunked_wgrad)
    for (const Geometry& g : {halved, same}) wgrad_case(name("wgrad", size(sizes)), g, sizes, type, type, type);
  wgrad_case(name("wgrad", "thin"), few, Sizes{64, 64, 3}, type, type, F32);
  wgrad_case(name("wgrad", "elements"), odd, Sizes{64, 64, 2}, type, F32, BF16);
}

}  // namespace drive
