//! Tiles for AVX-512 (32 registers) and AVX2 with FMA (16 registers).

use super::walk::walks;
use super::{Tile, kernels, table};
use std::arch::x86_64::*;

kernels!(
    #[target_feature(enable = "avx512f")]
    avx512_f32,
    avx512_f32_walk,
    f32,
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps
);
kernels!(
    #[target_feature(enable = "avx512f")]
    avx512_f64,
    avx512_f64_walk,
    f64,
    8,
    _mm512_setzero_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_set1_pd,
    _mm512_fmadd_pd,
    _mm512_add_pd
);
kernels!(
    #[target_feature(enable = "avx2,fma")]
    avx2_f32,
    avx2_f32_walk,
    f32,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps
);
kernels!(
    #[target_feature(enable = "avx2,fma")]
    avx2_f64,
    avx2_f64_walk,
    f64,
    4,
    _mm256_setzero_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_set1_pd,
    _mm256_fmadd_pd,
    _mm256_add_pd
);

table!(AVX512_F32, f32, avx512_f32, 16, [12 x 2, 8 x 3, 16 x 1]);
walks!(AVX512_F32_WALKS, f32, avx512_f32_walk, 16, [6 x 4, 12 x 2, 8 x 3, 4 x 5, 4 x 4, 16 x 1]);
table!(AVX512_F64, f64, avx512_f64, 8, [12 x 2, 8 x 3, 16 x 1]);
walks!(AVX512_F64_WALKS, f64, avx512_f64_walk, 8, [6 x 4, 12 x 2, 8 x 3, 4 x 5, 4 x 4, 16 x 1]);
table!(AVX2_F32, f32, avx2_f32, 8, [6 x 2, 4 x 3, 12 x 1]);
walks!(AVX2_F32_WALKS, f32, avx2_f32_walk, 8, [6 x 2, 4 x 3, 12 x 1]);
table!(AVX2_F64, f64, avx2_f64, 4, [6 x 2, 4 x 3, 12 x 1]);
walks!(AVX2_F64_WALKS, f64, avx2_f64_walk, 4, [6 x 2, 4 x 3, 12 x 1]);
