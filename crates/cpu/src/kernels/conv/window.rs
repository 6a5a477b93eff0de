//! A matrix whose rows are windows of an image.

use crate::kernels::gemm::Pack;
use crate::kernels::isa::vectorize;
use crate::kernels::operand::Operand;
use crate::kernels::real::Real;
use std::ops::Range;
use tape::Conv;

/// The geometry of windows on images `[n, h, w, c]`: row `(n, i, j)` of the matrix is the window
/// whose first pixel is `(i·step + top, j·step + left)`, with columns `(tap row, tap column, c)`.
/// Outside of the image there are zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub h: usize,
    pub w: usize,
    pub c: usize,
    /// Windows of an image, down and across.
    pub grid: (usize, usize),
    pub step: usize,
    pub top: isize,
    pub left: isize,
    /// Pixels of a window, down and across.
    pub taps: (usize, usize),
}

/// A run of elements that are next to each other in the matrix and in the image.
pub(super) struct Run {
    /// Its row in the block.
    pub row: usize,
    /// Its columns in the block.
    pub columns: Range<usize>,
    /// Zeros before the elements that lie in the image.
    pub before: usize,
    /// Elements of the image.
    pub image: Range<usize>,
}

impl Window {
    /// The pixels that each feature of `g` is computed from.
    pub fn of_features(g: &Conv) -> Self {
        Self {
            h: g.h,
            w: g.w,
            c: g.c,
            grid: (g.p, g.q),
            step: g.stride,
            top: -(g.pad as isize),
            left: -(g.pad as isize),
            taps: (g.r, g.s),
        }
    }

    /// Windows on these images.
    pub fn on<R>(self, images: Operand<'_, R>) -> Windows<'_, R> {
        Windows { geometry: self, images }
    }

    /// Cuts the block `rows` × `columns` into runs, row by row.
    #[inline(always)]
    pub fn runs(&self, rows: Range<usize>, columns: Range<usize>, mut f: impl FnMut(Run)) {
        let (down, across) = self.grid;
        let tap = self.taps.1 * self.c; // elements of one row of a window
        let taps = columns.start / tap..columns.end.div_ceil(tap);
        let line = (self.w * self.c) as isize;
        let mut j = rows.start % across;
        let mut i = rows.start / across % down;
        let mut n = rows.start / across / down;
        for row in 0..rows.len() {
            // Places in a line of the image, which may begin before it or end after it.
            let x = (j as isize * self.step as isize + self.left) * self.c as isize;
            let y = i as isize * self.step as isize + self.top;
            let whole = x >= 0 && x + tap as isize <= line;
            for t in taps.clone() {
                let from = columns.start.max(t * tap);
                let to = columns.end.min((t + 1) * tap);
                let y = y + t as isize;
                let start = ((n * self.h) as isize + y) * line;
                let (mut before, mut image) = (0, 0..0);
                if y >= 0 && y < self.h as isize {
                    let first = x + (from - t * tap) as isize;
                    let last = x + (to - t * tap) as isize;
                    if whole {
                        image = (start + first) as usize..(start + last) as usize;
                    } else {
                        let (inside, end) = (first.clamp(0, line), last.clamp(0, line));
                        before = (inside - first).clamp(0, last - first) as usize;
                        image = (start + inside) as usize..(start + end) as usize;
                    }
                }
                let columns = from - columns.start..to - columns.start;
                f(Run { row, columns, before, image });
            }
            j += 1;
            if j == across {
                (i, j) = (i + 1, 0);
            }
            if i == down {
                (n, i) = (n + 1, 0);
            }
        }
    }
}

/// Windows on the images of a batch.
pub(super) struct Windows<'a, R> {
    geometry: Window,
    images: Operand<'a, R>,
}

impl<R: Real> Pack<R> for Windows<'_, R> {
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize) {
        vectorize(
            #[inline(always)]
            || {
                self.geometry.runs(
                    rows,
                    columns,
                    #[inline(always)]
                    |Run { row, columns, before, image }| {
                        let to = &mut to[row * pitch + columns.start..];
                        let (len, copied) = (columns.len(), image.len());
                        if copied == len {
                            return self.images.copy(image, to);
                        }
                        to[..before].fill(R::ZERO);
                        self.images.copy(image, &mut to[before..]);
                        to[before + copied..len].fill(R::ZERO);
                    },
                )
            },
        );
    }
}
