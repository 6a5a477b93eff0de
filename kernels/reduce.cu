// Sums, and what else turns tensors into few numbers.
//
//   sum_rows      parts[s · pieces + j] = Σ x over piece j of row s; x [rows, each]
//   sum_columns   parts[j, c] = Σ x over the rows of piece j; x [rows, columns]
//   sum_parts     y[s] = Σ over j of parts[s · sum_stride + j · part_stride], in f64
//   pack          y[k] = x[k][0]
//   find_not_finite  flag = 1 where x has a value that is not finite, else 0
//
// A large sum takes two launches: sum_rows or sum_columns into parts, each in f32 over so few elements that
// nothing is lost, then sum_parts. A small one takes sum_parts alone. The order never changes.
#include "sums.cuh"

struct SumRowsParams {
  Tensor x;
  Tensor parts;
  uint32_t each;
  uint32_t piece;   // a multiple of 4
  uint32_t pieces;  // of each row
  uint32_t wide;    // x is aligned, and each a multiple of 4 if there are several rows
};

// A block owns a piece of a row; a thread two runs of four elements of every 2048.
KERNEL(256, sum_rows, SumRowsParams) {
  const uint32_t s = blockIdx.x / p.pieces, j = blockIdx.x - s * p.pieces;
  const uint32_t start = s * p.each + j * p.piece;
  const uint32_t len = min(p.each - j * p.piece, p.piece);
  float sums[2] = {0.0f, 0.0f};
  const uint32_t quads = p.wide ? len / 4 : 0;
  for (uint32_t q = threadIdx.x; q < quads; q += 512) {
    sums[0] += sum4(p.x.load4(start + 4 * q));
    if (q + 256 < quads) sums[1] += sum4(p.x.load4(start + 4 * (q + 256)));
  }
  for (uint32_t i = 4 * quads + threadIdx.x; i < len; i += 512) {
    sums[0] += p.x.load(start + i);
    if (i + 256 < len) sums[1] += p.x.load(start + i + 256);
  }
  const float sum = block_sum<256>(sums[0] + sums[1]);
  if (threadIdx.x == 0) p.parts.store(blockIdx.x, sum);
}

struct SumColumnsParams {
  Tensor x;
  Tensor parts;
  uint32_t rows;
  uint32_t columns;
  uint32_t piece;   // rows of a block
  uint32_t across;  // threads side by side, a power of two, at most 32; the others lie below
  uint32_t wide;    // x is aligned and columns a multiple of 4: a thread owns four columns, not one
  uint32_t unused;
};

// Block (x, y) owns `across` or 4 · `across` columns and piece y of the rows.
KERNEL(256, sum_columns, SumColumnsParams) {
  __shared__ float4 below[256];
  const uint32_t width = p.wide ? 4 : 1, down = 256 / p.across;
  const uint32_t column = (blockIdx.x * p.across + threadIdx.x % p.across) * width;
  const uint32_t end = min(p.rows, (blockIdx.y + 1) * p.piece);
  const bool mine = column < p.columns;
  uint32_t r = blockIdx.y * p.piece + threadIdx.x / p.across;
  float4 sums[4] = {};
  if (mine && p.wide) {
    for (; r + 3 * down < end; r += 4 * down)
#pragma unroll
      for (uint32_t k = 0; k < 4; ++k)
        sums[k] = add4(sums[k], p.x.load4((r + k * down) * p.columns + column));
    for (; r < end; r += down) sums[0] = add4(sums[0], p.x.load4(r * p.columns + column));
  } else if (mine) {
    for (; r + 3 * down < end; r += 4 * down)
#pragma unroll
      for (uint32_t k = 0; k < 4; ++k) sums[k].x += p.x.load((r + k * down) * p.columns + column);
    for (; r < end; r += down) sums[0].x += p.x.load(r * p.columns + column);
  }
  float4 sum = add4(add4(sums[0], sums[1]), add4(sums[2], sums[3]));
  below[threadIdx.x] = sum;
  for (uint32_t d = down / 2; d > 0; d /= 2) {
    __syncthreads();
    if (threadIdx.x < d * p.across) {
      sum = add4(sum, below[threadIdx.x + d * p.across]);
      below[threadIdx.x] = sum;
    }
  }
  if (!mine || threadIdx.x >= p.across) return;
  const uint32_t to = blockIdx.y * p.columns + column;
  if (p.wide) {
    const float v[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
    for (uint32_t l = 0; l < 4; ++l) p.parts.store(to + l, v[l]);
  } else {
    p.parts.store(to, sum.x);
  }
}

struct SumPartsParams {
  Tensor parts;
  Tensor y;
  uint32_t count;  // of parts of a sum
  uint32_t sum_stride;
  uint32_t part_stride;
  uint32_t lanes;  // threads that share a sum, a power of two, at most 256
};

// A block owns 256 / lanes sums. Threads of neighbouring sums are neighbours, so that columns are read
// side by side; with one sum to a block, its parts are.
KERNEL(256, sum_parts, SumPartsParams) {
  __shared__ double below[256];
  const uint32_t across = 256 / p.lanes;
  const uint32_t s = blockIdx.x * across + threadIdx.x % across;
  double sum = 0.0;
  if (s < p.y.len) {
    const uint32_t first = s * p.sum_stride;
#pragma unroll 8
    for (uint32_t j = threadIdx.x / across; j < p.count; j += p.lanes)
      sum += p.parts.load(first + j * p.part_stride);
  }
  below[threadIdx.x] = sum;
  for (uint32_t d = p.lanes / 2; d > 0; d /= 2) {
    __syncthreads();
    if (threadIdx.x < d * across) {
      sum += below[threadIdx.x + d * across];
      below[threadIdx.x] = sum;
    }
  }
  if (threadIdx.x < across && s < p.y.len) p.y.store(s, static_cast<float>(sum));
}

struct PackParams {
  Tensor x[16];
  Tensor y;
  uint32_t count;
  uint32_t unused;
};

KERNEL(32, pack, PackParams) {
  if (threadIdx.x < p.count) p.y.store(threadIdx.x, p.x[threadIdx.x].load(0));
}

struct FindNotFiniteParams {
  Tensor x;
  Tensor flag;
  uint32_t wide;  // x is aligned
  uint32_t unused;
};

// One block, which looks at all of x, so that the flag need not be cleared before. It serves a mode that
// waits for each operation anyway.
KERNEL(1024, find_not_finite, FindNotFiniteParams) {
  __shared__ uint32_t found;
  if (threadIdx.x == 0) found = 0;
  bool bad = false;
  const uint32_t quads = p.wide ? p.x.len / 4 : 0;
#pragma unroll 4
  for (uint32_t q = threadIdx.x; q < quads; q += 1024) {
    const float4 x = p.x.load4(4 * q);
    bad |= !(isfinite(x.x) && isfinite(x.y) && isfinite(x.z) && isfinite(x.w));
  }
  for (uint32_t i = 4 * quads + threadIdx.x; i < p.x.len; i += 1024) bad |= !isfinite(p.x.load(i));
  __syncthreads();
  if (bad) found = 1;
  __syncthreads();
  if (threadIdx.x == 0) p.flag.store(0, static_cast<float>(found));
}
