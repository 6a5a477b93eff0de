//! The gradient by thin images.
//!
//! One product gives what every feature adds to each pixel of its window. The windows of a few rows
//! of features stay in the first-level cache, and each line of the image is [gathered](Ring) from
//! them.

use super::super::Weights;
use super::ring::{MOST, Ring};
use super::{MANY, NARROW};
use crate::kernels::epilogue::{Epilogue, Finish};
use crate::kernels::gemm::{Buffers, Kept, Matrix, Pack, Parts, Work};
use crate::kernels::isa::vectorize;
use crate::kernels::math::Math;
use crate::kernels::operand::Operand;
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::real::Real;
use crate::kernels::tile::{Path, Walk, best_walk};
use std::ops::Range;
use tape::Conv;

/// Most rows of a tile.
const ROWS: usize = 16;
/// Bands that the lines of an image are cut into, so that a few images are work for many threads.
pub fn bands(g: &Conv) -> usize {
    MANY.div_ceil(g.n).min((g.h / NARROW).max(1))
}

/// As [`dgrad`](super::super::dgrad()).
pub fn dgrad<R: Math>(
    g: &Conv,
    dy: Operand<'_, R>,
    w: Weights<'_, R>,
    dx: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    let taps = g.r * g.s * g.c;
    let walk = best_walk(work.walks(), g.q, taps);
    let Parts { scratch, shared, partials } = work.parts();
    let matrix = Matrix { data: w.raw, pitch: taps };
    let weights = Kept::or_else(w.kept, shared, |to| {
        for (j, to) in (0..taps).step_by(walk.nr).zip(to.chunks_exact_mut(g.k * walk.nr)) {
            matrix.pack(0..g.k, j..(j + walk.nr).min(taps), to, walk.nr);
        }
    });
    let ring = Ring::new(g, taps.next_multiple_of(walk.nr));
    let bands = bands(g);
    let tasks = g.n * bands;
    let finish = Finish::new(epilogue, tasks, g.c, partials);
    let whole = Shared::new(dx);
    parallel(tasks, |task| {
        let (n, band) = (task / bands, task % bands);
        let lines = band * g.h / bands..(band + 1) * g.h / bands;
        let line = g.w * g.c;
        let first = (n * g.h + lines.start) * line;
        // SAFETY: each band has lines of its own.
        let dx = unsafe { whole.part(first, lines.len() * line) };
        scratch.with(|buffer| {
            let Buffers { a: block, b: windows, .. } = Buffers::new(buffer);
            let windows = &mut windows[..ring.len()];
            windows.fill(R::ZERO);
            let mut sources = [0; MOST];
            let mut done = rows_of(g, lines.start).start;
            for (y, to) in lines.clone().zip(dx.chunks_exact_mut(line)) {
                let rows = rows_of(g, y);
                for p in done..rows.end {
                    let features = Features { dy, first: (n * g.p + p) * g.q * g.k };
                    let windows = &mut windows[ring.at(p)..];
                    features.multiply(g, walk, weights, block, windows, ring.pitch);
                }
                done = done.max(rows.end);
                ring.line(g, y, rows, windows, &mut sources, to);
            }
        });
        let pixels = (n * g.h + lines.start) * g.w..(n * g.h + lines.end) * g.w;
        // SAFETY: as above.
        unsafe { finish.pixels(task, pixels, &whole) };
    });
    epilogue.end(tasks, g.n * g.h * g.w, partials);
}

/// Rows of features that see a line of the image.
fn rows_of(g: &Conv, y: usize) -> Range<usize> {
    let last = y + g.pad;
    let first = (last + 1).saturating_sub(g.r).div_ceil(g.stride);
    first.min(g.p)..(last / g.stride + 1).min(g.p)
}

/// A row of features, which begins at element `first`.
struct Features<'a, R> {
    dy: Operand<'a, R>,
    first: usize,
}

impl<R: Real> Features<'_, R> {
    /// Their windows, `pitch` elements each.
    fn multiply(
        &self,
        g: &Conv,
        walk: &Walk<R>,
        weights: &[R],
        block: &mut [R],
        windows: &mut [R],
        pitch: usize,
    ) {
        let run = self.first..self.first + g.q * g.k;
        let features = match self.dy {
            Operand::Plain(dy) => &dy[run],
            _ => {
                vectorize(
                    #[inline(always)]
                    || self.dy.copy(run, block),
                );
                &*block
            }
        };
        let path = Path { segments: 1, len: g.k, a: [1, 0], b: [walk.nr, 0] };
        let windows = Shared::new(windows);
        let (mut starts, mut places) = ([0; ROWS], [0; ROWS]);
        for i in (0..g.q).step_by(walk.mr) {
            let count = walk.mr.min(g.q - i);
            for j in 0..count {
                starts[j] = (i + j) * g.k;
                places[j] = (i + j) * pitch;
            }
            // What the next tile reads, or the next row, comes while this one is at work.
            let next = self.first + (i + walk.mr) * g.k;
            self.dy.prefetch(next..next + count * g.k);
            let (starts, places) = (&starts[..count], &places[..count]);
            for (j, panel) in (0..pitch).step_by(walk.nr).zip(weights.chunks_exact(g.k * walk.nr)) {
                let (a, columns) = ((features, starts), j..j + walk.nr);
                // SAFETY: the windows are this thread's.
                unsafe { walk.multiply(&path, a, panel, &windows, places, columns, false) };
            }
        }
    }
}
