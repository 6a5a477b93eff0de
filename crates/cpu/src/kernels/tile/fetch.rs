//! Asking the caches for what will be needed soon.
//!
//! Processors see by themselves what is read line after line, but a tile reads from many rows at once,
//! and from every line for long.

use crate::kernels::parallel::Shared;
use std::ops::Range;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Begins to load elements `run` of `data`, as far as there are any.
#[inline(always)]
pub fn fetch<R>(data: &[R], run: Range<usize>) {
    let run = run.start.min(data.len())..run.end.min(data.len());
    let start = data.as_ptr().wrapping_add(run.start);
    lines(start.cast(), run.len() * size_of::<R>(), to_read);
}

/// Makes room in the cache for elements `run` of `data`, which will be written.
#[inline(always)]
pub fn fetch_to_write<R>(data: &Shared<R>, run: Range<usize>) {
    let run = run.start.min(data.len())..run.end.min(data.len());
    lines(data.at(run.start).cast(), run.len() * size_of::<R>(), to_write);
}

#[inline(always)]
fn lines(start: *const i8, bytes: usize, f: impl Fn(*const i8)) {
    for at in (0..bytes).step_by(LINE) {
        f(start.wrapping_add(at));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn to_read(line: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a hint, which touches nothing and is there on every x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(line) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn to_write(line: *const i8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: as above.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(line) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn to_read(_: *const i8) {}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn to_write(_: *const i8) {}
