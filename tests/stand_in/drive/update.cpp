// The end of a training step.
#include "update.cu"

#include "drive.h"

namespace drive {

namespace {

constexpr float RATE = 0.125f, MOMENTUM = 0.5f, CORRECTION1 = 0.75f, CORRECTION2 = 0.5f, DECAY = 0.875f;

Clock clock_of(uint64_t tick) {
  Clock clock{};
  clock.tick = tick;
  const float scalars[] = {RATE, MOMENTUM, CORRECTION1, CORRECTION2, DECAY};
  for (int i = 0; i < 5; ++i) clock.scalars[10 + i] = scalars[i];
  return clock;
}

Array copy(const Array& from) {
  const Array made(F32, from.len);
  for (uint32_t i = 0; i < from.len; ++i) made.set(i, from[i]);
  return made;
}

void updates(uint32_t len, bool faulty) {
  const Clock clock = clock_of(5);
  const uint64_t now = reinterpret_cast<uint64_t>(&clock);
  const Array g = random(F32, len, 1), p = random(F32, len, 2), m = random(F32, len, 3), v = random(F32, len, 4);
  for (uint32_t i = 0; i < len; ++i) v.set(i, v[i] * v[i]);
  const Array fault = filled(1, faulty ? 2.0f : 0.0f);
  const dim3 grid((len + 1023) / 1024);
  const auto or_kept = [&](const Array& kept, const std::function<double(uint32_t)>& f) {
    return [&kept, f, faulty](uint32_t i) { return faulty ? double(kept[i]) : f(i); };
  };
  {
    const Array weights = copy(p), speed = copy(m);
    run("sgd", grid, 256, 0, SgdParams{g, fault, weights, speed, now, 10, 11});
    const auto fast = [&](uint32_t i) { return double(MOMENTUM) * m[i] - RATE * g[i]; };
    expect("sgd, v", speed, or_kept(m, fast), EXACT);
    expect("sgd, p", weights, or_kept(p, [&](uint32_t i) { return p[i] + fast(i); }), EXACT);
  }
  {
    const Array weights = copy(p), first = copy(m), second = copy(v);
    run("adam", grid, 256, 0,
        AdamParams{g, fault, weights, first, second, now, 10, 12, 13, 0.5f, 0.5f, 0.875f, 0.125f, 1e-3f, 0.25f, 0});
    const auto d = [&](uint32_t i) { return g[i] + 0.25 * p[i]; };
    const auto of_m = [&](uint32_t i) { return 0.5 * m[i] + 0.5 * d(i); };
    const auto of_v = [&](uint32_t i) { return 0.875 * v[i] + 0.125 * d(i) * d(i); };
    expect("adam, m", first, or_kept(m, of_m), EXACT);
    expect("adam, v", second, or_kept(v, of_v), EXACT);
    expect("adam, p", weights, or_kept(p, [&](uint32_t i) {
      return p[i] - RATE / CORRECTION1 * of_m(i) / (std::sqrt(of_v(i) / CORRECTION2) + 1e-3);
    }), EXACT);
  }
  const Array average = copy(m);
  run("ema", grid, 256, 0, EmaParams{p, fault, average, now, 14, 0});
  expect("ema", average, or_kept(m, [&](uint32_t i) { return DECAY * m[i] + (1.0 - DECAY) * p[i]; }), EXACT);
}

void guards() {
  const Clock clock = clock_of(4096 + 41);
  for (const int bad : {-1, 0, 1, 2}) {
    GuardParams p{};
    const Array x[3] = {random(F32, 2500, 1), random(BF16, 1027, 2), random(F32, 1, 3)};
    const Array fault = filled(1, 0.0f);
    if (bad >= 0) x[bad].set(x[bad].len - 1, bad == 1 ? -INFINITY : NAN);
    for (int i = 0; i < GUARDED; ++i) p.x[i] = i < 3 ? x[i].tensor() : NONE;
    p.fault = fault;
    p.clock = reinterpret_cast<uint64_t>(&clock);
    run("guard", dim3(2, 3), 256, 0, p);
    expect("guard", fault, [&](uint32_t) { return bad < 0 ? 0.0 : 42.0; }, 0.0);
  }
}

}  // namespace

CASE(update) {
  for (const bool faulty : {false, true})
    for (const uint32_t len : {1u, 1027u, 2048u}) updates(len, faulty);
  guards();
}

}  // namespace drive
