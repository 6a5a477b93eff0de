// Convolutions with operands of bf16 and sums in f32: equations in conv.cuh, what blocks own in
// conv_gather.cuh, conv_halo.cuh and conv_wgrad.cuh. A block of 128 threads owns the part of the result that
// its name says, its four warps a quarter of it each.
#include "conv_halo.cuh"
#include "conv_wgrad.cuh"

template <int M, int N, int STAGES>
using FpropTile = Tile<Bf16, M, N, 2, 2, STAGES, true, true>;
template <int M, int N, int STAGES>
using DgradTile = Tile<Bf16, M, N, 2, 2, STAGES, true, false>;
template <int M, int N, int STAGES>
using WgradTile = Tile<Bf16, M, N, 2, 2, STAGES, false, false>;
using ThinTile = Tile<Bf16, 128, 16, 4, 1, 4, true, true>;

KERNEL(128, conv_fprop_bf16_128x128, ConvParams) { conv_gather<FpropTile<128, 128, 4>, false, CHUNKS>(p); }
KERNEL(128, conv_fprop_bf16_128x64, ConvParams) { conv_gather<FpropTile<128, 64, 5>, false, CHUNKS>(p); }
KERNEL(128, conv_fprop_bf16_64x64, ConvParams) { conv_gather<FpropTile<64, 64, 6>, false, CHUNKS>(p); }
KERNEL(128, conv_fprop_bf16_elements, ConvParams) { conv_gather<FpropTile<64, 64, 2>, false, ELEMENTS>(p); }

KERNEL(128, conv_dgrad_bf16_128x128, ConvParams) { conv_gather<DgradTile<128, 128, 4>, true, CHUNKS>(p); }
KERNEL(128, conv_dgrad_bf16_128x64, ConvParams) { conv_gather<DgradTile<128, 64, 5>, true, CHUNKS>(p); }
KERNEL(128, conv_dgrad_bf16_64x64, ConvParams) { conv_gather<DgradTile<64, 64, 6>, true, CHUNKS>(p); }
KERNEL(128, conv_dgrad_bf16_thin, ConvParams) { conv_gather<ThinTile, true, THIN>(p); }
KERNEL(128, conv_dgrad_bf16_halo, ConvParams) { conv_halo<Bf16>(p); }
KERNEL(128, conv_dgrad_bf16_elements, ConvParams) { conv_gather<FpropTile<64, 64, 2>, true, ELEMENTS>(p); }

KERNEL(128, conv_wgrad_bf16_128x128, ConvParams) { conv_wgrad<WgradTile<128, 128, 4>, CHUNKS>(p); }
KERNEL(128, conv_wgrad_bf16_128x64, ConvParams) { conv_wgrad<WgradTile<128, 64, 5>, CHUNKS>(p); }
KERNEL(128, conv_wgrad_bf16_64x64, ConvParams) { conv_wgrad<WgradTile<64, 64, 6>, CHUNKS>(p); }
KERNEL(128, conv_wgrad_bf16_thin, ConvParams) { conv_wgrad<WgradTile<64, 64, 3>, THIN>(p); }
KERNEL(128, conv_wgrad_bf16_elements, ConvParams) { conv_wgrad<WgradTile<64, 64, 2>, ELEMENTS>(p); }
