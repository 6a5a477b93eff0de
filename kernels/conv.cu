// What follows a convolution. The convolutions themselves are in conv_bf16.cu, conv_tf32.cu, conv_f32.cu.
#include "gemm_parts.cuh"

// The parts of a wgrad: see gemm_parts.cuh.
KERNEL(256, conv_parts, PartsParams) { add_parts(p); }

// The column sums that a finish left (gemm_finish.cuh):  sums[j] = Σ_i partials[i][j],  and behind them, for
// moments, the number of pixels. A block owns 32 columns, each of its eight warps every eighth row; added in
// f64, because there may be thousands of rows.
struct ConvSumsParams {
  uint64_t partials;  // f32 [rows][columns]
  uint64_t sums;      // f32 [columns], [columns + 1] with the number of pixels
  uint32_t rows;
  uint32_t columns;
  uint32_t pixels;  // 0: is not stored
  uint32_t unused;
};

KERNEL(256, conv_sums, ConvSumsParams) {
  DYNAMIC_SHARED(shared);  // f64 [8][32]
  double* of_warp = reinterpret_cast<double*>(shared);
  const uint32_t warp = threadIdx.x / 32, column = blockIdx.x * 32 + threadIdx.x % 32;
  const float* partials = reinterpret_cast<const float*>(p.partials);
  float* sums = reinterpret_cast<float*>(p.sums);
  double sum = 0.0;
  if (column < p.columns) {
#pragma unroll 4
    for (uint32_t row = warp; row < p.rows; row += 8) sum += double(partials[size_t(row) * p.columns + column]);
  }
  of_warp[threadIdx.x] = sum;
  __syncthreads();
  if (warp == 0 && column < p.columns) {
    for (int w = 1; w < 8; w++) sum += of_warp[w * 32 + threadIdx.x];
    sums[column] = float(sum);
    if (column == 0 && p.pixels != 0) sums[p.columns] = float(p.pixels);
  }
}
