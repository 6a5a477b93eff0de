//! The windows of a few rows of features, and the lines of an image that they add up to.

use super::STEP;
use crate::kernels::real::Real;
use crate::kernels::vectorized::vectorized;
use std::ops::Range;
use tape::Conv;

/// Most windows that add to one piece.
pub const MOST: usize = 64;
/// Elements of a short piece.
const SHORT: usize = 8;

/// A ring of as many rows of windows as one line of the image needs, and a row of zeros in place of
/// rows beyond the features. Before and behind each row are zeros, too.
///
/// A line is cut into pieces of as many elements as one feature moves along it: every piece is a sum of
/// the same pieces of neighbouring windows.
pub struct Ring {
    /// Rows of features that add to one line.
    down: usize,
    /// Features of a row that add to one piece.
    across: usize,
    /// Windows of a row, with the zeros around them.
    row: usize,
    /// Elements from one window to the next.
    pub pitch: usize,
    /// Pieces of a line.
    pieces: Range<usize>,
    /// Elements of a piece, and how many of them the last neighbour adds to.
    step: usize,
    last: usize,
    /// Elements of the first piece that lie before the line.
    before: usize,
}

/// Where the windows that add up to the first piece of a line lie in a [`Ring`].
type Sources = [usize; MOST];

impl Ring {
    /// For windows of which each takes `pitch` elements.
    pub fn new(g: &Conv, pitch: usize) -> Self {
        let (down, across) = (g.r.div_ceil(g.stride), g.s.div_ceil(g.stride));
        let pieces = g.pad / g.stride..(g.pad + g.w).div_ceil(g.stride);
        let row = across - 1 + g.q.max(pieces.end);
        let step = g.stride * g.c;
        let last = g.s * g.c - (across - 1) * step;
        Self { down, across, row, pitch, pieces, step, last, before: g.pad % g.stride * g.c }
    }

    /// Elements of the whole ring; nothing holds one in which too many windows overlap.
    pub fn len(&self) -> usize {
        let whole = (self.down + 1) * self.row * self.pitch + STEP;
        if self.down * self.across > MOST { usize::MAX / 2 } else { whole }
    }

    /// Where the windows of a row of features begin.
    pub fn at(&self, p: usize) -> usize {
        ((p % self.down) * self.row + self.across - 1) * self.pitch
    }

    /// Writes line `y`, which the features `rows` see. First come the windows of which every piece is
    /// whole.
    pub fn line<R: Real>(
        &self,
        g: &Conv,
        y: usize,
        rows: Range<usize>,
        windows: &[R],
        sources: &mut Sources,
        to: &mut [R],
    ) {
        let zeros = (self.down * self.row + self.across - 1) * self.pitch;
        let piece = self.pieces.start * self.pitch;
        for i in 0..self.down {
            let p = rows.start + i;
            let first = match p < rows.end {
                true => self.at(p) + (y + g.pad - p * g.stride) * g.s * g.c,
                false => zeros,
            };
            for t in 0..self.across {
                sources[t * self.down + i] = first + piece + t * self.step - t * self.pitch;
            }
        }
        let sources = &sources[..self.down * self.across];
        match (sources.len(), self.last == self.step, self.step <= SHORT) {
            (4, true, true) => four(self, windows, sources, to),
            (_, _, true) => short(self, windows, sources, to),
            _ => long(self, windows, sources, to),
        }
    }

    /// How many of the sources give whole pieces.
    #[inline(always)]
    fn whole(&self, sources: usize) -> usize {
        if self.last == self.step { sources } else { sources - self.down }
    }
}

vectorized! {
    fn four[R: Real](ring: &Ring, windows: &[R], sources: &[usize], to: &mut [R]) {
        let sources: &[usize; 4] = sources.try_into().expect("four");
        sum::<R, SHORT>(ring, windows, sources, &[], to);
    }
}

vectorized! {
    fn short[R: Real](ring: &Ring, windows: &[R], sources: &[usize], to: &mut [R]) {
        let (whole, partial) = sources.split_at(ring.whole(sources.len()));
        sum::<R, SHORT>(ring, windows, whole, partial, to);
    }
}

vectorized! {
    fn long[R: Real](ring: &Ring, windows: &[R], sources: &[usize], to: &mut [R]) {
        let (whole, partial) = sources.split_at(ring.whole(sources.len()));
        sum::<R, STEP>(ring, windows, whole, partial, to);
    }
}

/// Piece after piece; what is written behind one is overwritten by the next.
#[inline(always)]
fn sum<R: Real, const LANES: usize>(
    ring: &Ring,
    windows: &[R],
    whole: &[usize],
    partial: &[usize],
    to: &mut [R],
) {
    let furthest = whole.iter().chain(partial).max().expect("a window");
    let most = (ring.pieces.len() - 1) * ring.pitch + LANES;
    assert!(furthest + most <= windows.len(), "{} elements of windows", windows.len());
    // SAFETY: every piece lies before the end by the assertion.
    let read = |at: usize| unsafe { windows.as_ptr().add(at).cast::<[R; LANES]>().read() };
    for piece in 0..ring.pieces.len() {
        let mut sums = [R::ZERO; LANES];
        for source in whole {
            let from = read(source + piece * ring.pitch);
            for j in 0..LANES {
                sums[j] += from[j];
            }
        }
        for source in partial {
            let from = read(source + piece * ring.pitch);
            for j in 0..LANES {
                sums[j] += if j < ring.last { from[j] } else { R::ZERO };
            }
        }
        let at = (piece * ring.step).wrapping_sub(ring.before);
        match to.get_mut(at..at.wrapping_add(LANES)) {
            Some(to) => to.copy_from_slice(&sums),
            // The first piece, or one of the last.
            None => {
                for (j, &sum) in sums[..ring.step].iter().enumerate() {
                    if let Some(to) = to.get_mut(at.wrapping_add(j)) {
                        *to = sum;
                    }
                }
            }
        }
    }
}
