//! Splitting work over the threads of the rayon pool that the caller runs in.
//!
//! Work is cut by the shape of the problem, never by the number of threads, so that the bytes of a
//! result do not depend on how many there are. Nothing here allocates: `join` keeps its jobs on the
//! stack, provided that the caller is itself a thread of the pool.

use crate::pages;
use std::cell::UnsafeCell;

/// Calls `f(0)`, …, `f(tasks − 1)`, each once, in parallel. `f` must not start parallel work itself.
pub fn parallel(tasks: usize, f: impl Fn(usize) + Sync) {
    fn halves(from: usize, to: usize, f: &(dyn Fn(usize) + Sync)) {
        match to - from {
            0 => {}
            1 => f(from),
            n => {
                let middle = from + n / 2;
                rayon::join(|| halves(from, middle, f), || halves(middle, to, f));
            }
        }
    }
    halves(0, tasks, &f);
}

/// How many elements of `whole` make one task: the smallest multiple of `unit` that is at least
/// `least`, or everything if that is all there is.
pub fn chunk(whole: usize, unit: usize, least: usize) -> usize {
    let units = least.div_ceil(unit.max(1)).max(1);
    (units * unit.max(1)).min(whole.max(1))
}

/// A buffer of its own for each thread of the pool, allocated once.
pub struct Scratch<R> {
    per_thread: Vec<UnsafeCell<Vec<R>>>,
}

// SAFETY: a thread only ever touches the buffer with its own index, see `with`.
unsafe impl<R: Send> Sync for Scratch<R> {}

impl<R: Copy + Default> Scratch<R> {
    /// `len` elements for each of `threads` threads of a pool.
    pub fn new(threads: usize, len: usize) -> Self {
        let buffer = || UnsafeCell::new(pages::zeros(len));
        Self { per_thread: (0..threads.max(1)).map(|_| buffer()).collect() }
    }

    /// Elements each thread has.
    pub fn len(&mut self) -> usize {
        self.per_thread[0].get_mut().len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Lends this thread's buffer to `f`, which must not start parallel work (a stolen job could
    /// then ask for the same buffer).
    pub fn with<T>(&self, f: impl FnOnce(&mut [R]) -> T) -> T {
        let thread = rayon::current_thread_index().unwrap_or(0);
        // SAFETY: thread indices of a pool are unique, and `f` does not yield to other jobs.
        f(unsafe { &mut *self.per_thread[thread].get() })
    }
}

/// A mutable slice that tasks of one `parallel` call write disjoint parts of.
#[derive(Clone, Copy)]
pub struct Shared<R> {
    start: *mut R,
    len: usize,
}

// SAFETY: access goes through `part`, whose callers promise disjoint ranges.
unsafe impl<R: Send> Send for Shared<R> {}
// SAFETY: as above.
unsafe impl<R: Send> Sync for Shared<R> {}

impl<R> Shared<R> {
    /// Takes the slice for the time of a `parallel` call.
    pub fn new(slice: &mut [R]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// Elements of the whole slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements `from .. from + len`.
    ///
    /// # Safety
    /// No two tasks may hold overlapping parts, and the slice must outlive the part.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part<'a>(&self, from: usize, len: usize) -> &'a mut [R] {
        assert!(from + len <= self.len, "part {from}+{len} of {}", self.len);
        // SAFETY: in bounds by the assertion, disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }

    /// `count` elements from `from` on, every `step`th.
    ///
    /// # Safety
    /// As for [`Self::part`].
    pub unsafe fn strided<'a>(
        &self,
        from: usize,
        count: usize,
        step: usize,
    ) -> impl Iterator<Item = &'a mut R>
    where
        R: 'a,
    {
        assert!(from + count.saturating_sub(1) * step < self.len, "{count} by {step} from {from}");
        let start = self.at(from);
        // SAFETY: in bounds by the assertion, disjoint by the caller's promise.
        (0..count).map(move |i| unsafe { &mut *start.add(i * step) })
    }

    /// Pointer to element `at`, for tiles that write with a stride.
    pub fn at(&self, at: usize) -> *mut R {
        assert!(at <= self.len);
        // SAFETY: within the slice or one past its end, by the assertion.
        unsafe { self.start.add(at) }
    }
}
