//! Tiles for any machine: a "vector" is an array, and the compiler finds what registers there are.

use super::walk::walks;
use super::{Tile, kernels, table};
use crate::kernels::real::Real;

/// Elements of a vector.
const LANES: usize = 4;

#[inline(always)]
fn zero<R: Real>() -> [R; LANES] {
    [R::ZERO; LANES]
}

#[inline(always)]
unsafe fn load<R: Real>(from: *const R) -> [R; LANES] {
    // SAFETY: the kernel reads within its operands.
    unsafe { from.cast::<[R; LANES]>().read() }
}

#[inline(always)]
unsafe fn store<R: Real>(to: *mut R, vector: [R; LANES]) {
    // SAFETY: the kernel writes within C.
    unsafe { to.cast::<[R; LANES]>().write(vector) }
}

#[inline(always)]
fn broadcast<R: Real>(x: R) -> [R; LANES] {
    [x; LANES]
}

/// Two roundings: a fused one is a library call where there is no instruction for it.
#[inline(always)]
fn multiply_add<R: Real>(a: [R; LANES], b: [R; LANES], c: [R; LANES]) -> [R; LANES] {
    std::array::from_fn(|i| a[i] * b[i] + c[i])
}

#[inline(always)]
fn add<R: Real>(a: [R; LANES], b: [R; LANES]) -> [R; LANES] {
    std::array::from_fn(|i| a[i] + b[i])
}

kernels!(plain_f32, plain_f32_walk, f32, 4, zero, load, store, broadcast, multiply_add, add);
kernels!(plain_f64, plain_f64_walk, f64, 4, zero, load, store, broadcast, multiply_add, add);

table!(F32, f32, plain_f32, 4, [4 x 2, 8 x 1]);
walks!(F32_WALKS, f32, plain_f32_walk, 4, [4 x 2, 8 x 1]);
table!(F64, f64, plain_f64, 4, [4 x 1]);
walks!(F64_WALKS, f64, plain_f64_walk, 4, [4 x 1]);
