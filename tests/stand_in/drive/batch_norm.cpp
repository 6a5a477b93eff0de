// Batch norm.
#include "batch_norm.cu"

#include "drive.h"

namespace drive {

namespace {

struct Fold {
  uint32_t rows, channels;
  Walk walk;
  dim3 grid;
};

// As many blocks as leave each thread some rows; by fours of channels where they are whole fours.
Fold fold(uint32_t rows, uint32_t channels) {
  const uint32_t width = channels % 4 ? 1 : 4, groups = channels / width, tiles = (groups + 255) / 256;
  const uint32_t lanes = (groups + tiles - 1) / tiles, lines = 256 / lanes;
  return {rows, channels, Walk{rows, channels, width, lanes}, dim3((rows + 8 * lines - 1) / (8 * lines), (groups + lanes - 1) / lanes)};
}

double activated(Act act, double x, double slope) {
  return act == Act::RELU      ? std::fmax(x, 0.0)
         : act == Act::LEAKY   ? (x > 0 ? x : slope * x)
         : act == Act::TANH    ? std::tanh(x)
         : act == Act::SIGMOID ? 1.0 / (1.0 + std::exp(-x))
                               : x;
}

double derivative(Act act, double y, double slope) {
  return act == Act::RELU      ? double(y > 0)
         : act == Act::LEAKY   ? (y > 0 ? 1.0 : slope)
         : act == Act::TANH    ? 1.0 - y * y
         : act == Act::SIGMOID ? y * (1.0 - y)
                               : 1.0;
}

// Sums of the parts [blocks, 2, c] that blocks left.
void expect_parts(const char* what, const Array& parts, uint32_t blocks, uint32_t channels,
                  const std::function<double(uint32_t)>& wanted) {
  const Array sums(F32, 2 * channels);
  for (uint32_t i = 0; i < 2 * channels; ++i) {
    double sum = 0.0;
    for (uint32_t block = 0; block < blocks; ++block) sum += parts[block * 2 * channels + i];
    sums.set(i, float(sum));
  }
  expect(what, sums, wanted, EXACT);
}

void passes(uint32_t rows, uint32_t channels, Type type, Act act) {
  const Fold f = fold(rows, channels);
  const uint32_t len = rows * channels, c = channels;
  const Array x = random(type, len, 1), running = random(F32, 2 * c, 2), stats = random(F32, 2 * c, 3);
  const Array gain = random(F32, c, 4), shift = random(F32, c, 5), dy = random(type, len, 6), sums = random(F32, 2 * c, 7);
  const float slope = 0.25f;
  const double rounded = type == BF16 ? ROUNDED : EXACT;
  const auto normal = [&](uint32_t i) { return (double(x[i]) - stats[i % c]) * stats[c + i % c]; };

  const Array parts(F32, f.grid.x * 2 * c), count(F32, 1);
  run("moments", f.grid, 256, 0, MomentsParams{x, running, parts, count, f.walk});
  expect_parts("moments", parts, f.grid.x, c, [&](uint32_t i) {
    double sum = 0.0;
    for (uint32_t at = i % c; at < len; at += c) {
      const double d = double(x[at]) - running[i % c];
      sum += i < c ? d : d * d;
    }
    return sum;
  });
  expect("moments, count", count, [&](uint32_t) { return rows; }, 0.0);

  const Array y(type, len);
  run("normalize", f.grid, 256, 0, NormalizeParams{x, stats, gain, shift, y, f.walk, act, slope});
  expect("normalize", y, [&](uint32_t i) { return activated(act, normal(i) * gain[i % c] + shift[i % c], slope); }, rounded);

  const auto gradient = [&](uint32_t i) { return double(dy[i]) * derivative(act, y[i], slope); };
  const Tensor output = act == Act::NONE ? NONE : y.tensor();
  const Array gradient_parts(F32, f.grid.x * 2 * c);
  run("normalize_sums", f.grid, 256, 0, NormalizeSumsParams{dy, output, x, stats, gradient_parts, f.walk, act, slope});
  expect_parts("normalize_sums", gradient_parts, f.grid.x, c, [&](uint32_t i) {
    double sum = 0.0;
    for (uint32_t at = i % c; at < len; at += c) sum += gradient(at) * (i < c ? 1.0 : normal(at));
    return sum;
  });

  const Array dx(type, len);
  const float share = 1.0f / float(rows);
  run("normalize_grad", f.grid, 256, 0, NormalizeGradParams{dy, output, x, stats, gain, sums, dx, f.walk, act, slope, share, 0});
  expect("normalize_grad", dx, [&](uint32_t i) {
    const uint32_t j = i % c;
    return double(gain[j]) * stats[c + j] * (gradient(i) - (sums[j] + normal(i) * sums[c + j]) * share);
  }, rounded);
}

// By channel: of sums around a running mean.
void tables(uint32_t c) {
  const Array sums(F32, 2 * c + 1), running = random(F32, 2 * c, 1), stats(F32, 2 * c), fault = filled(1, 0.0f);
  const double count = 48.0;
  for (uint32_t j = 0; j < c; ++j) {
    sums.set(j, float(j) - 3.0f);
    sums.set(c + j, 50.0f + float(j * j));
    running.set(c + j, 0.5f + float(j));
  }
  sums.set(2 * c, float(count));
  const auto mean = [&](uint32_t j) { return sums[j] / count; };
  const auto variance = [&](uint32_t j) { return sums[c + j] / count - mean(j) * mean(j); };
  const dim3 grid((c + 255) / 256);
  run("statistics", grid, 256, 0, StatisticsParams{sums, running, stats, 1e-5});
  expect("statistics", stats, [&](uint32_t i) {
    return i < c ? running[i] + mean(i) : 1.0 / std::sqrt(variance(i - c) + 1e-5);
  }, EXACT);
  run("stored_statistics", grid, 256, 0, StoredStatisticsParams{running, stats, 1e-5f, 0});
  expect("stored_statistics", stats, [&](uint32_t i) { return i < c ? running[i] : 1.0 / std::sqrt(running[i] + 1e-5); }, EXACT);

  for (const bool faulty : {true, false}) {
    const Array before(F32, 2 * c);
    for (uint32_t i = 0; i < 2 * c; ++i) before.set(i, running[i]);
    fault.set(0, faulty ? 3.0f : 0.0f);
    run("running", grid, 256, 0, RunningParams{sums, fault, running, 0.1});
    expect("running", running, [&](uint32_t i) {
      if (faulty) return double(before[i]);
      return i < c ? 0.9 * before[i] + 0.1 * (before[i] + mean(i))
                   : 0.9 * before[i] + 0.1 * variance(i - c) * count / (count - 1.0);
    }, EXACT);
  }
}

}  // namespace

CASE(batch_norm) {
  passes(37, 24, F32, Act::LEAKY);
  passes(300, 7, BF16, Act::NONE);
  passes(5, 1032, BF16, Act::RELU);
  passes(33, 12, F32, Act::TANH);
  passes(19, 3, F32, Act::SIGMOID);
  tables(5);
  tables(259);
}

}  // namespace drive
