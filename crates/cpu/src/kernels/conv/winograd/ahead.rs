//! What comes next is fetched while the multiplications go on: tensors do not fit the caches, and the
//! machine cannot guess the order in which tiles read them.

use crate::kernels::operand::Operand;
use crate::kernels::parallel::Shared;
use crate::kernels::real::Real;

/// Pixels to fetch: `count` runs of `len` elements, one every `step`.
#[derive(Clone, Copy, Default)]
pub(super) struct Run {
    pub first: usize,
    pub step: usize,
    pub count: usize,
    pub len: usize,
}

/// Fetches runs bit by bit.
pub(super) struct Ahead<'a, R, I> {
    operand: &'a Operand<'a, R>,
    runs: I,
    now: Run,
}

impl<'a, R: Real, I: Iterator<Item = Run>> Ahead<'a, R, I> {
    pub fn new(operand: &'a Operand<'a, R>, runs: I) -> Self {
        Self { operand, runs, now: Run::default() }
    }

    /// Fetches so many pixels.
    #[inline(always)]
    pub fn fetch(&mut self, pixels: usize) {
        for _ in 0..pixels {
            if self.now.count == 0 {
                match self.runs.next() {
                    Some(run) => self.now = run,
                    None => return,
                }
                continue;
            }
            let Run { first, step, len, .. } = self.now;
            self.operand.prefetch(first..first + len);
            self.now.first = first + step;
            self.now.count -= 1;
        }
    }
}

/// Fetches rows that will be written, bit by bit.
pub(super) struct Written<'a, R> {
    y: &'a Shared<R>,
    places: std::slice::Iter<'a, usize>,
    len: usize,
}

impl<'a, R: Real> Written<'a, R> {
    /// `len` elements at each of `places`.
    pub fn new(y: &'a Shared<R>, places: &'a [usize], len: usize) -> Self {
        Self { y, places: places.iter(), len }
    }

    /// Fetches so many rows.
    #[inline(always)]
    pub fn fetch(&mut self, rows: usize) {
        for &place in self.places.by_ref().take(rows) {
            self.y.prefetch(place..place + self.len);
        }
    }
}
