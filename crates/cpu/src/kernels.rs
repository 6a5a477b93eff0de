//! The arithmetic, one file per family of operations. Everything here is a function of slices.

pub mod activation;
pub mod batch_norm;
pub mod blocks;
pub mod channels;
pub mod chunks;
pub mod conv;
pub mod convert;
pub mod dropout;
pub mod epilogue;
pub mod gemm;
pub mod isa;
pub mod lanes;
pub mod map;
pub mod math;
pub mod matmul;
pub mod maxout;
pub mod noise;
pub mod operand;
pub mod parallel;
pub(crate) mod prefetch;
pub mod real;
pub mod reduce;
pub mod tile;
pub mod update;
mod vectorized;
