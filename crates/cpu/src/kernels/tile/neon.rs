//! Tiles for 64-bit Arm: 32 registers of 128 bits.

use super::walk::walks;
use super::{Tile, kernels, table};
use std::arch::aarch64::*;

/// The intrinsics in the order of operands that the kernel has.
macro_rules! vector {
    ($zero:ident, $multiply_add:ident, $vector:ty, $set:ident, $fma:ident) => {
        #[inline]
        #[target_feature(enable = "neon")]
        fn $zero() -> $vector {
            $set(0.0)
        }
        #[inline]
        #[target_feature(enable = "neon")]
        fn $multiply_add(a: $vector, b: $vector, c: $vector) -> $vector {
            $fma(c, a, b)
        }
    };
}

vector!(zero_f32, multiply_add_f32, float32x4_t, vdupq_n_f32, vfmaq_f32);
vector!(zero_f64, multiply_add_f64, float64x2_t, vdupq_n_f64, vfmaq_f64);

kernels!(
    #[target_feature(enable = "neon")]
    neon_f32,
    neon_f32_walk,
    f32,
    4,
    zero_f32,
    vld1q_f32,
    vst1q_f32,
    vdupq_n_f32,
    multiply_add_f32,
    vaddq_f32
);
kernels!(
    #[target_feature(enable = "neon")]
    neon_f64,
    neon_f64_walk,
    f64,
    2,
    zero_f64,
    vld1q_f64,
    vst1q_f64,
    vdupq_n_f64,
    multiply_add_f64,
    vaddq_f64
);

table!(F32, f32, neon_f32, 4, [12 x 2, 8 x 3, 16 x 1]);
walks!(F32_WALKS, f32, neon_f32_walk, 4, [6 x 4, 12 x 2, 8 x 3, 4 x 5, 4 x 4, 16 x 1]);
table!(F64, f64, neon_f64, 2, [12 x 2, 8 x 3, 16 x 1]);
walks!(F64_WALKS, f64, neon_f64_walk, 2, [6 x 4, 12 x 2, 8 x 3, 4 x 5, 4 x 4, 16 x 1]);
