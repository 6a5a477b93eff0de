//! The memory that products need beside their operands, allocated once.

use crate::kernels::isa::{Isa, available, isa};
use crate::kernels::parallel::Scratch;
use crate::kernels::real::Real;
use crate::kernels::tile::{BLOCK, PITCH, Tile, Walk};
use crate::pages;

/// Elements of a packed block.
pub(in crate::kernels) const PACKED: usize = BLOCK * PITCH;
/// Buffers begin on a cache line.
const LINE: usize = 64;

/// How much work space an operation needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkSize {
    /// Elements that each thread has for itself, where that is more than three blocks.
    pub thread: usize,
    /// Elements that all threads share: packed weights, or partial sums.
    pub shared: usize,
    /// Elements for an epilogue's sums.
    pub partials: usize,
}

impl WorkSize {
    /// Enough for either, used one after the other.
    pub fn max(self, other: Self) -> Self {
        Self {
            thread: self.thread.max(other.thread),
            shared: self.shared.max(other.shared),
            partials: self.partials.max(other.partials),
        }
    }

    /// Elements that [`Work`] allocates for so many threads, up to cache lines.
    pub fn elements(self, threads: usize) -> usize {
        threads * self.thread.max(3 * PACKED) + self.shared + self.partials
    }
}

/// Work space of convolutions and matrix products: of every thread its own blocks (under a
/// megabyte in f32), and a shared part.
pub struct Work<R> {
    isa: Isa,
    scratch: Scratch<R>,
    shared: Vec<R>,
    partials: Vec<R>,
}

/// What [`Work::parts`] lends.
pub(in crate::kernels) struct Parts<'a, R> {
    /// Blocks of the threads.
    pub scratch: &'a Scratch<R>,
    /// Packed weights, or parts of a sum.
    pub shared: &'a mut [R],
    /// An epilogue's sums.
    pub partials: &'a mut [R],
}

impl<R: Real> Work<R> {
    /// For pools of at most `threads` threads.
    pub fn new(threads: usize, size: WorkSize) -> Self {
        Self::with_isa(threads, size, isa())
    }

    /// With the tiles of `isa` instead of the best ones.
    ///
    /// # Panics
    /// If this machine does not have it.
    pub fn with_isa(threads: usize, size: WorkSize, isa: Isa) -> Self {
        assert!(available().contains(&isa), "{isa:?} on this machine");
        let slack = LINE / R::BYTES;
        Self {
            isa,
            scratch: Scratch::new(threads, size.thread.max(3 * PACKED) + slack),
            shared: pages::zeros(size.shared + slack),
            partials: vec![R::ZERO; size.partials],
        }
    }

    /// The register tiles to choose from.
    pub(in crate::kernels) fn tiles(&self) -> &'static [Tile<R>] {
        R::tiles(self.isa)
    }

    /// Those that read their operands where they lie.
    pub(in crate::kernels) fn walks(&self) -> &'static [Walk<R>] {
        R::walks(self.isa)
    }

    /// All of it.
    pub(in crate::kernels) fn parts(&mut self) -> Parts<'_, R> {
        let Self { scratch, shared, partials, .. } = self;
        Parts { scratch, shared: aligned(shared), partials }
    }
}

/// The blocks of one thread.
pub(in crate::kernels) struct Buffers<'a, R> {
    /// Packed from A.
    pub a: &'a mut [R],
    /// Packed from B.
    pub b: &'a mut [R],
    /// Products that are not yet where they belong.
    pub c: &'a mut [R],
}

impl<'a, R: Real> Buffers<'a, R> {
    /// Cuts up the buffer of a thread.
    pub fn new(buffer: &'a mut [R]) -> Self {
        let (a, rest) = aligned(buffer).split_at_mut(PACKED);
        let (b, c) = rest.split_at_mut(PACKED);
        Self { a, b, c }
    }
}

pub(in crate::kernels) fn aligned<R>(buffer: &mut [R]) -> &mut [R] {
    let skip = buffer.as_ptr().align_offset(LINE).min(buffer.len());
    &mut buffer[skip..]
}
