// ldmatrix and mma for a whole warp at once. Which lane holds what is written in the project's ptx.cuh.
#include <cstring>

#include "lane.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
// Wider registers where there are some. Columns are independent, so the sums are the same.
#define FOR_THIS_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_THIS_CPU
#endif

namespace stand_in {

static float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

void ldmatrix(Warp& warp, bool transposed) {
  const Block& block = *warp.block;
  for (int lane = 0; lane < 32; ++lane) {
    const void* row = warp.operands[lane].ldmatrix.row;
    if (reinterpret_cast<uintptr_t>(row) % 16)
      fail(block, "ldmatrix: the row of lane %d of warp %u is not at a multiple of 16 bytes", lane, warp.index);
    if (!block.is_shared(row, 16))
      fail(block, "ldmatrix: the row of lane %d of warp %u is not in shared memory", lane, warp.index);
  }
  for (int m = 0; m < 4; ++m) {
    uint16_t matrix[8][8];
    for (int i = 0; i < 8; ++i) memcpy(matrix[i], warp.operands[8 * m + i].ldmatrix.row, 16);
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      const uint32_t low = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
      const uint32_t high = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
      warp.operands[lane].ldmatrix.result[m] = low | high << 16;
    }
  }
}

// d += a · b, term by term in the order of k; four rows at a time, so that sums do not wait for each other.
template <int K>
static inline __attribute__((always_inline)) void multiply(float (&d)[16][8], const float (&a)[16][K],
                                                           const float (&b)[K][8]) {
  typedef float Row __attribute__((vector_size(32)));
  for (int i = 0; i < 16; i += 4) {
    Row sum[4];
    memcpy(sum, d[i], sizeof sum);
    for (int k = 0; k < K; ++k) {
      Row right;
      memcpy(&right, b[k], sizeof right);
      for (int r = 0; r < 4; ++r) sum[r] += a[i + r][k] * right;
    }
    memcpy(d[i], sum, sizeof sum);
  }
}

FOR_THIS_CPU static void multiply16(float (&d)[16][8], const float (&a)[16][16], const float (&b)[16][8]) {
  multiply<16>(d, a, b);
}

FOR_THIS_CPU static void multiply8(float (&d)[16][8], const float (&a)[16][8], const float (&b)[8][8]) {
  multiply<8>(d, a, b);
}

static void gather(const Warp& warp, float (&d)[16][8]) {
  for (int lane = 0; lane < 32; ++lane) {
    const float* mine = warp.operands[lane].mma.d;
    const int g = lane / 4, t = lane % 4;
    memcpy(&d[g][2 * t], mine, 8);
    memcpy(&d[g + 8][2 * t], mine + 2, 8);
  }
}

static void scatter(Warp& warp, const float (&d)[16][8]) {
  for (int lane = 0; lane < 32; ++lane) {
    float* mine = warp.operands[lane].mma.d;
    const int g = lane / 4, t = lane % 4;
    memcpy(mine, &d[g][2 * t], 8);
    memcpy(mine + 2, &d[g + 8][2 * t], 8);
  }
}

void mma_bf16(Warp& warp) {
  alignas(32) float a[16][16], b[16][8], d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = warp.operands[lane].mma;
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      float* at = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
      at[0] = from_bits(mine.a[i] << 16);
      at[1] = from_bits(mine.a[i] & 0xffff0000u);
    }
    b[2 * t][g] = from_bits(mine.b0 << 16);
    b[2 * t + 1][g] = from_bits(mine.b0 & 0xffff0000u);
    b[2 * t + 8][g] = from_bits(mine.b1 << 16);
    b[2 * t + 9][g] = from_bits(mine.b1 & 0xffff0000u);
  }
  gather(warp, d);
  multiply16(d, a, b);
  scatter(warp, d);
}

void mma_tf32(Warp& warp) {
  const auto tf32 = [](uint32_t bits) { return from_bits(bits & 0xffffe000u); };
  alignas(32) float a[16][8], b[8][8], d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = warp.operands[lane].mma;
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = tf32(mine.a[i]);
    b[t][g] = tf32(mine.b0);
    b[t + 4][g] = tf32(mine.b1);
  }
  gather(warp, d);
  multiply8(d, a, b);
  scatter(warp, d);
}

}  // namespace stand_in
