//! The system's allocator, with counters.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Allocations so far, of all threads.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are allocated now, and the most there were since [`forget_peak`].
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts, and lets the system do the work.
pub struct Counted;

fn grow(bytes: usize) {
    CALLS.fetch_add(1, Relaxed);
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: every call is passed on to `System` as it came; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // For a moment both may be there.
        grow(size);
        // SAFETY: the caller's promises are those of `System`.
        let moved = unsafe { System.realloc(start, layout, size) };
        LIVE.fetch_sub(layout.size(), Relaxed);
        moved
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.dealloc(start, layout) }
    }
}

/// Allocations so far.
pub fn calls() -> usize {
    CALLS.load(Relaxed)
}

/// Starts looking for the most bytes; returns those that are allocated now.
pub fn forget_peak() -> usize {
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    live
}

/// The most bytes since [`forget_peak`].
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}
