//! The gradient by thin images.
//!
//! One product gives what every feature adds to each pixel of its window. The windows of a few rows
//! of features stay in the first-level cache, and each line of the image is gathered from them: cut
//! into pieces of as many elements as one feature moves along, every piece is a sum of the same
//! pieces of neighbouring windows.

use super::super::Weights;
use super::{MANY, NARROW, STEP};
use crate::kernels::epilogue::{Epilogue, Finish};
use crate::kernels::gemm::{Buffers, Kept, Matrix, Pack, Parts, Work};
use crate::kernels::isa::vectorize;
use crate::kernels::math::Math;
use crate::kernels::operand::Operand;
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::real::Real;
use crate::kernels::tile::{BLOCK, Path, Walk, best_walk, fetch};
use crate::kernels::vectorized::vectorized;
use std::ops::Range;
use tape::Conv;

/// Most rows of a tile.
const ROWS: usize = 64;
/// Most windows that add to one piece.
const MOST: usize = 64;

/// The windows of some rows of features: a ring of as many as one line of the image needs, and a
/// row of zeros in place of rows beyond the features. Around each row are zeros, too.
struct Ring {
    /// Rows of features that add to one line.
    down: usize,
    /// Features of a row that add to one piece.
    across: usize,
    /// Windows of a row, with the zeros around them.
    row: usize,
    /// Elements from one window to the next.
    pitch: usize,
    /// Pieces of a line, the first of which may begin before it.
    pieces: Range<usize>,
}

impl Ring {
    fn new(g: &Conv, pitch: usize) -> Self {
        let (down, across) = (g.r.div_ceil(g.stride), g.s.div_ceil(g.stride));
        let pieces = g.pad / g.stride..(g.pad + g.w).div_ceil(g.stride);
        let row = across - 1 + g.q.max(pieces.end);
        Self { down, across, row, pitch, pieces }
    }

    /// Elements of the whole ring.
    fn len(&self) -> usize {
        (self.down + 1) * self.row * self.pitch
    }

    /// Where the windows of a row of features begin.
    fn at(&self, p: usize) -> usize {
        ((p % self.down) * self.row + self.across - 1) * self.pitch
    }

    /// Where a row of zeros begins.
    fn zeros(&self) -> usize {
        (self.down * self.row + self.across - 1) * self.pitch
    }
}

/// Elements of a thread's buffer for windows of `pitch` elements; nothing fits if too many windows
/// overlap.
pub fn products(g: &Conv, pitch: usize) -> usize {
    let ring = Ring::new(g, pitch);
    if ring.down * ring.across > MOST { usize::MAX / 2 } else { ring.len() }
}

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
            let Buffers { a: block, b: windows, c: pieces } = Buffers::new(buffer);
            let windows = &mut windows[..ring.len() + STEP];
            windows.fill(R::ZERO);
            let mut done = rows_of(g, lines.start).start;
            for (y, to) in lines.clone().zip(dx.chunks_exact_mut(line)) {
                let rows = rows_of(g, y);
                for p in done..rows.end {
                    let features = row(&dy, (n * g.p + p) * g.q * g.k, g.q * g.k, block);
                    multiply(g, walk, features, weights, &mut windows[ring.at(p)..], ring.pitch);
                }
                done = done.max(rows.end);
                let (sources, count) = sources(g, &ring, y, rows);
                let step = g.stride * g.c;
                let whole = (step, g.s * g.c - (ring.across - 1) * step);
                gather_pieces(windows, &sources[..count], &ring, whole, pieces);
                to.copy_from_slice(&pieces[(g.pad % g.stride) * g.c..][..line]);
            }
        });
        let pixels = lines.len() * g.w;
        for from in (0..pixels).step_by(BLOCK) {
            let places: [usize; BLOCK] = std::array::from_fn(|i| first + (from + i) * g.c);
            // SAFETY: as above.
            unsafe { finish.rows(task, &places[..BLOCK.min(pixels - from)], 0..g.c, &whole) };
        }
    });
    epilogue.end(tasks, g.n * g.h * g.w, partials);
}

/// The features `from .. from + len`, where they lie or computed into a block.
fn row<'a, R: Real>(dy: &Operand<'a, R>, from: usize, len: usize, block: &'a mut [R]) -> &'a [R] {
    if let Operand::Plain(dy) = dy {
        return &dy[from..];
    }
    vectorize(
        #[inline(always)]
        || dy.copy(from..from + len, block),
    );
    &block[..len]
}

/// Rows of features that see a line of the image.
fn rows_of(g: &Conv, y: usize) -> Range<usize> {
    let last = y + g.pad;
    let first = (last + 1).saturating_sub(g.r).div_ceil(g.stride);
    first.min(g.p)..(last / g.stride + 1).min(g.p)
}

/// Windows of a row of features.
fn multiply<R: Real>(
    g: &Conv,
    walk: &Walk<R>,
    features: &[R],
    weights: &[R],
    windows: &mut [R],
    pitch: usize,
) {
    let path = Path { segments: 1, len: g.k, a: [1, 0], b: [walk.nr, 0] };
    let windows = Shared::new(windows);
    let (mut starts, mut places) = ([0; ROWS], [0; ROWS]);
    for i in (0..g.q).step_by(walk.mr) {
        let count = walk.mr.min(g.q - i);
        for j in 0..count {
            starts[j] = (i + j) * g.k;
            places[j] = (i + j) * pitch;
        }
        fetch(features, (i + walk.mr) * g.k..(i + 2 * walk.mr) * g.k);
        let (starts, places) = (&starts[..count], &places[..count]);
        for (j, panel) in (0..pitch).step_by(walk.nr).zip(weights.chunks_exact(g.k * walk.nr)) {
            let columns = j..j + walk.nr;
            // SAFETY: the windows are this thread's.
            unsafe {
                walk.multiply(&path, (features, starts), panel, &windows, places, columns, false)
            };
        }
    }
}

/// Where the piece of window 0 that adds to piece 0 of line `y` lies, for every row of features and every
/// neighbour; whole pieces first.
fn sources(g: &Conv, ring: &Ring, y: usize, rows: Range<usize>) -> ([usize; MOST], usize) {
    let mut sources = [0; MOST];
    let mut count = 0;
    for t in 0..ring.across {
        let last = (y + g.pad) / g.stride;
        for back in 0..ring.down {
            // Rows of features that this line does not have are zeros.
            let there = last.checked_sub(back).filter(|p| rows.contains(p));
            let row = there.map_or(ring.zeros(), |p| {
                let r = y + g.pad - p * g.stride;
                ring.at(p) + r * g.s * g.c
            });
            sources[count] = row + t * g.stride * g.c - t * ring.pitch;
            count += 1;
        }
    }
    (sources, count)
}

/// Adds up the pieces of a line. `step` elements are whole, and the last neighbour has only `last`.
fn gather_pieces<R: Real>(
    windows: &[R],
    sources: &[usize],
    ring: &Ring,
    (step, last): (usize, usize),
    to: &mut [R],
) {
    let partial = if last < step { ring.down } else { 0 };
    match (sources.len(), partial, step <= 8) {
        (4, 0, true) => four(windows, sources, ring, step, to),
        (_, _, true) => short(windows, sources, partial, ring, (step, last), to),
        _ => long(windows, sources, partial, ring, (step, last), to),
    }
}

vectorized! {
    fn four[R: Real](windows: &[R], sources: &[usize], ring: &Ring, step: usize, to: &mut [R]) {
        let sources: &[usize; 4] = sources.try_into().expect("four");
        sum_pieces::<R, 8>(windows, sources, &[], ring, (step, step), to);
    }
}

vectorized! {
    fn short[R: Real](windows: &[R], sources: &[usize], partial: usize, ring: &Ring, steps: (usize, usize), to: &mut [R]) {
        let (whole, partial) = sources.split_at(sources.len() - partial);
        sum_pieces::<R, 8>(windows, whole, partial, ring, steps, to);
    }
}

vectorized! {
    fn long[R: Real](windows: &[R], sources: &[usize], partial: usize, ring: &Ring, steps: (usize, usize), to: &mut [R]) {
        let (whole, partial) = sources.split_at(sources.len() - partial);
        sum_pieces::<R, STEP>(windows, whole, partial, ring, steps, to);
    }
}

/// Piece after piece; what is written behind one is overwritten by the next.
#[inline(always)]
fn sum_pieces<R: Real, const LANES: usize>(
    windows: &[R],
    whole: &[usize],
    partial: &[usize],
    ring: &Ring,
    (step, last): (usize, usize),
    to: &mut [R],
) {
    for (i, piece) in ring.pieces.clone().enumerate() {
        let mut sums = [R::ZERO; LANES];
        let at = piece * ring.pitch;
        for source in whole {
            let from: &[R; LANES] = windows[source + at..][..LANES].try_into().expect("LANES");
            for j in 0..LANES {
                sums[j] += from[j];
            }
        }
        for source in partial {
            let from: &[R; LANES] = windows[source + at..][..LANES].try_into().expect("LANES");
            for j in 0..LANES {
                sums[j] += if j < last { from[j] } else { R::ZERO };
            }
        }
        to[i * step..][..LANES].copy_from_slice(&sums);
    }
}
