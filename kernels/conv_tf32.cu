// Convolutions with operands of f32 that are rounded to tf32, and sums in f32: equations in conv.cuh, what
// blocks own in conv_gather.cuh, conv_halo.cuh and conv_wgrad.cuh. A block of 128 threads owns the part of
// the result that its name says, its four warps a quarter of it each.
#include "conv_halo.cuh"
#include "conv_wgrad.cuh"

template <int M, int N, int STAGES>
using FpropTile = Tile<Tf32, M, N, 2, 2, STAGES, true, true>;
template <int M, int N, int STAGES>
using DgradTile = Tile<Tf32, M, N, 2, 2, STAGES, true, false>;
template <int M, int N, int STAGES>
using WgradTile = Tile<Tf32, M, N, 2, 2, STAGES, false, false>;
using ThinTile = Tile<Tf32, 128, 16, 4, 1, 4, true, true>;

KERNEL(128, conv_fprop_tf32_128x64, ConvParams) { conv_gather<FpropTile<128, 64, 5>, false, CHUNKS>(p); }
KERNEL(128, conv_fprop_tf32_64x64, ConvParams) { conv_gather<FpropTile<64, 64, 6>, false, CHUNKS>(p); }
KERNEL(128, conv_fprop_tf32_elements, ConvParams) { conv_gather<FpropTile<64, 64, 2>, false, ELEMENTS>(p); }

KERNEL(128, conv_dgrad_tf32_128x64, ConvParams) { conv_gather<DgradTile<128, 64, 5>, true, CHUNKS>(p); }
KERNEL(128, conv_dgrad_tf32_64x64, ConvParams) { conv_gather<DgradTile<64, 64, 6>, true, CHUNKS>(p); }
KERNEL(128, conv_dgrad_tf32_thin, ConvParams) { conv_gather<ThinTile, true, THIN>(p); }
KERNEL(128, conv_dgrad_tf32_halo, ConvParams) { conv_halo<Tf32>(p); }
KERNEL(128, conv_dgrad_tf32_elements, ConvParams) { conv_gather<FpropTile<64, 64, 2>, true, ELEMENTS>(p); }

KERNEL(128, conv_wgrad_tf32_128x64, ConvParams) { conv_wgrad<WgradTile<128, 64, 5>, CHUNKS>(p); }
KERNEL(128, conv_wgrad_tf32_64x64, ConvParams) { conv_wgrad<WgradTile<64, 64, 6>, CHUNKS>(p); }
KERNEL(128, conv_wgrad_tf32_thin, ConvParams) { conv_wgrad<WgradTile<64, 64, 3>, THIN>(p); }
KERNEL(128, conv_wgrad_tf32_elements, ConvParams) { conv_wgrad<WgradTile<64, 64, 2>, ELEMENTS>(p); }
