//! Hints to the memory system. They change no value, and do nothing where the machine has none.

/// Elements from `at` on, `len` of them, will be read soon: bring them to the second-level cache. Any
/// address may be named.
#[inline(always)]
pub fn read<R>(at: *const R, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len * size_of::<R>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, len);
}

/// The same for elements that will be written.
#[inline(always)]
pub fn write<R>(at: *const R, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len * size_of::<R>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a prefetch writes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, len);
}
