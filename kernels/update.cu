// The end of a training step, over flat buffers of F32:
//
//   guard   fault ← 1 + tick mod 4096 where an element is not finite; a fault stays
//   sgd     v ← momentum · v − rate · g; p ← p + v
//   adam    g' = g + l2 · p; m ← β₁ · m + (1 − β₁) · g'; v ← β₂ · v + (1 − β₂) · g'²;
//           p ← p − rate / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + ε)   (Kingma & Ba 2014)
//   ema     e ← decay · e + (1 − decay) · p
//
// Updates do nothing while there is a fault. Rates, corrections and decays are scalars of the clock, given by
// their number. One thread owns four adjacent elements.
#include "tensor.cuh"

constexpr int GUARDED = 8;

struct GuardParams {
  Tensor x[GUARDED];  // F32 or BF16; those that are not used have no elements
  Tensor fault;
  uint64_t clock;
};
struct SgdParams {
  Tensor g, fault, p, v;
  uint64_t clock;
  uint32_t rate;
  uint32_t momentum;
};
struct AdamParams {
  Tensor g, fault, p, m, v;
  uint64_t clock;
  uint32_t rate;
  uint32_t correction1;
  uint32_t correction2;
  float beta1;
  float rest1;  // 1 − β₁
  float beta2;
  float rest2;  // 1 − β₂
  float eps;
  float l2;
  uint32_t unused;
};
struct EmaParams {
  Tensor p, fault, e;
  uint64_t clock;
  uint32_t decay;
  uint32_t unused;
};

namespace {

// The thread's elements of buffers of one length, as one vector where all of them allow it.
struct Four {
  uint32_t first, count;
  bool whole;

  __device__ __forceinline__ Four(uint32_t len, bool aligned) {
    first = (blockIdx.x * 256 + threadIdx.x) * 4;
    count = first >= len ? 0 : len - first < 4 ? len - first : 4;
    whole = aligned && count == 4;
  }
  __device__ __forceinline__ void load(const Tensor& t, float (&x)[4]) const {
    const float* from = t.of<const float>() + first;
    if (whole) {
      const float4 v = *reinterpret_cast<const float4*>(from);
      x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
    } else {
#pragma unroll
      for (uint32_t i = 0; i < 4; i++) x[i] = i < count ? from[i] : 0.0f;
    }
  }
  __device__ __forceinline__ void store(const Tensor& t, const float (&x)[4]) const {
    float* to = t.of<float>() + first;
    if (whole) {
      *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
    } else {
#pragma unroll
      for (uint32_t i = 0; i < 4; i++)
        if (i < count) to[i] = x[i];
    }
  }
};

__device__ __forceinline__ const float* scalars(uint64_t clock) {
  return reinterpret_cast<const Clock*>(clock)->scalars;
}

__device__ __forceinline__ bool faulty(const Tensor& fault) {
  return fault.of<const float>()[0] != 0.0f;
}

__device__ __forceinline__ bool finite(float x) {
  return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

}  // namespace

// blockIdx.y is the tensor; its blocks stride over it. Threads that find something all write the same number
// into the same word, so that it does not matter which of them come first.
KERNEL(256, guard, GuardParams) {
  const Tensor& x = p.x[blockIdx.y];
  bool good = true;
  const uint32_t stride = gridDim.x * 256;
  uint32_t at = blockIdx.x * 256 + threadIdx.x;
  if (x.aligned()) {
    const uint32_t fours = x.len / 4;
#pragma unroll 4
    for (uint32_t i = at; i < fours; i += stride) {
      const float4 v = x.load4(4 * i);
      good &= finite(v.x) & finite(v.y) & finite(v.z) & finite(v.w);
    }
    at += fours * 4;
  }
  for (uint32_t i = at; i < x.len; i += stride) good &= finite(x.load(i));
  if (good || faulty(p.fault)) return;
  const uint64_t tick = reinterpret_cast<const Clock*>(p.clock)->tick;
  p.fault.of<float>()[0] = float(1 + uint32_t(tick % 4096));
}

KERNEL(256, sgd, SgdParams) {
  const Four four(p.p.len, (p.g.at | p.p.at | p.v.at) % 16 == 0);
  if (four.count == 0 || faulty(p.fault)) return;
  const float rate = scalars(p.clock)[p.rate], momentum = scalars(p.clock)[p.momentum];
  float g[4], w[4], v[4];
  four.load(p.g, g);
  four.load(p.p, w);
  four.load(p.v, v);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    v[i] = momentum * v[i] - rate * g[i];
    w[i] += v[i];
  }
  four.store(p.p, w);
  four.store(p.v, v);
}

KERNEL(256, adam, AdamParams) {
  const Four four(p.p.len, (p.g.at | p.p.at | p.m.at | p.v.at) % 16 == 0);
  if (four.count == 0 || faulty(p.fault)) return;
  const float* now = scalars(p.clock);
  const float rate = now[p.rate] / now[p.correction1];
  const float root = 1.0f / sqrtf(now[p.correction2]);
  float g[4], w[4], m[4], v[4];
  four.load(p.g, g);
  four.load(p.p, w);
  four.load(p.m, m);
  four.load(p.v, v);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float d = g[i] + p.l2 * w[i];
    m[i] = p.beta1 * m[i] + p.rest1 * d;
    v[i] = p.beta2 * v[i] + p.rest2 * d * d;
    w[i] -= rate * m[i] / (sqrtf(v[i]) * root + p.eps);
  }
  four.store(p.p, w);
  four.store(p.m, m);
  four.store(p.v, v);
}

KERNEL(256, ema, EmaParams) {
  const Four four(p.e.len, (p.p.at | p.e.at) % 16 == 0);
  if (four.count == 0 || faulty(p.fault)) return;
  const float decay = scalars(p.clock)[p.decay], rest = 1.0f - decay;
  float e[4], w[4];
  four.load(p.e, e);
  four.load(p.p, w);
#pragma unroll
  for (int i = 0; i < 4; i++) e[i] = decay * e[i] + rest * w[i];
  four.store(p.e, e);
}
