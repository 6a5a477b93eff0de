//! Asking the caches for what will be needed soon.
//!
//! Processors see by themselves what is read line after line, but a tile reads from many rows at once,
//! and from every line for long.

use std::ops::Range;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Begins to load elements `run` of `data`, as far as there are any.
#[inline(always)]
pub fn fetch<R>(data: &[R], run: Range<usize>) {
    let run = run.start.min(data.len())..run.end.min(data.len());
    let part = &data[run];
    let bytes = size_of_val(part);
    for at in (0..bytes).step_by(LINE) {
        line(part.as_ptr().cast::<i8>().wrapping_add(at));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(at: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads nothing and is there on every x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_: *const i8) {}
