//! The gradient by the images, which is also the transposed convolution.
//!
//! Two ways. *Gathered*: pixels of the image whose coordinates leave the same remainders by the
//! stride are reached by the same taps, so each of the stride² phases is a product of its own, of
//! windows of features with some of the taps. *Scattered*: one product gives what every feature
//! adds to each pixel of its window, and the windows are added to the image while they are in the
//! cache. The second is for few channels, where the tiles of the first would be mostly empty, and
//! for images of one window.

use super::window::Window;
use super::{FEW, MANY, Weights, check, thin, winograd};
use crate::kernels::epilogue::{Epilogue, Finish};
use crate::kernels::gemm::{
    Buffers, Grid, Kept, Matrix, Pack, Parts, Product, Right, Work, pack_panels,
};
use crate::kernels::isa::vectorize;
use crate::kernels::math::Math;
use crate::kernels::operand::{Operand, Pixels};
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::real::Real;
use crate::kernels::tile::{BLOCK, Layout, PITCH, Tile, best};
use std::ops::Range;
use tape::Conv;

/// What adding one element of a window costs, in multiply-adds of a tile.
const ADDING: usize = 24;

/// `dx =` the gradient by the images: gradients of features `[n, p, q, k]` and weights
/// `[k, r, s, c]` give `[n, h, w, c]`. Every element is written, also those no tap reaches.
///
/// # Panics
/// If a slice has another length than its tensor, or `work` is smaller than
/// [`conv_work`](super::conv_work).
pub fn dgrad<R: Math>(
    g: &Conv,
    dy: Operand<'_, R>,
    w: Weights<'_, R>,
    dx: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    check(g, dx.len(), w.raw.len(), dy.len());
    if thin::applies(g) {
        thin::dgrad(g, dy, w, dx, epilogue, work);
    } else if winograd::applies(g) {
        winograd::dgrad(g, dy, w, dx, epilogue, work);
    } else if dx.is_empty() {
    } else if dy.is_empty() || w.raw.is_empty() {
        zeros(g, dx, epilogue, work);
    } else if scattered_is_cheaper(g, work.tiles()) {
        scattered(g, dy, w, dx, epilogue, work);
    } else {
        gathered(g, dy, w, dx, epilogue, work);
    }
}

/// A sum of nothing.
fn zeros<R: Math>(g: &Conv, dx: &mut [R], epilogue: &mut Epilogue<'_, R>, work: &mut Work<R>) {
    dx.fill(R::ZERO);
    let (rows, partials) = (g.n * g.h * g.w, work.parts().partials);
    let finish = Finish::new(epilogue, 1, g.c, partials);
    let dx = Shared::new(dx);
    // SAFETY: this thread has all of dx.
    unsafe { finish.pixels(0, 0..rows, &dx) };
    epilogue.end(1, rows, partials);
}

/// Compares the multiply-adds of the tiles, whether needed or not.
fn scattered_is_cheaper<R>(g: &Conv, tiles: &'static [Tile<R>]) -> bool {
    let padded = |n: usize| n.next_multiple_of(best(tiles, g.n * g.p * g.q, n).nr);
    let taps = g.r * g.s;
    // Over all phases, each tap meets one pixel in stride².
    let gathered = g.h * g.w * taps * g.k * padded(g.c) / (g.stride * g.stride);
    let scattered = g.p * g.q * (g.k * padded(taps * g.c) + ADDING * taps * g.c);
    scattered < gathered
}

/// One dimension of a phase.
struct Steps {
    /// The first pixel; others follow every `stride`.
    first: usize,
    /// Pixels.
    count: usize,
    /// Taps that reach them: `tap, tap + stride, …`.
    tap: usize,
    taps: usize,
    /// The feature that the last of the taps takes to the first pixel.
    feature: isize,
}

impl Steps {
    /// Pixel `first + i·stride` gets tap `r` from feature `(pixel + pad − r) / stride`: a later tap
    /// means an earlier feature, so the taps are taken backwards.
    fn new(pixels: usize, taps: usize, tap: usize, g: &Conv) -> Self {
        let stride = g.stride;
        let first = (tap as isize - g.pad as isize).rem_euclid(stride as isize) as usize;
        let taps = taps.saturating_sub(tap).div_ceil(stride);
        Self {
            first,
            count: pixels.saturating_sub(first).div_ceil(stride),
            tap,
            taps,
            feature: ((first + g.pad - tap) / stride) as isize - (taps as isize - 1),
        }
    }

    /// The tap behind place `t` of a window.
    fn tap(&self, t: usize, stride: usize) -> usize {
        self.tap + (self.taps - 1 - t) * stride
    }
}

/// The pixels that are reached by the same taps, and the product that computes them.
struct Phase {
    down: Steps,
    across: Steps,
}

impl Phase {
    fn new(phase: usize, g: &Conv) -> Self {
        Self {
            down: Steps::new(g.h, g.r, phase / g.stride, g),
            across: Steps::new(g.w, g.s, phase % g.stride, g),
        }
    }

    /// Rows of the product: pixels.
    fn rows(&self, g: &Conv) -> usize {
        g.n * self.down.count * self.across.count
    }

    /// Products to sum.
    fn depth(&self, g: &Conv) -> usize {
        self.down.taps * self.across.taps * g.k
    }

    fn windows(&self, g: &Conv) -> Window {
        Window {
            h: g.p,
            w: g.q,
            c: g.k,
            grid: (self.down.count, self.across.count),
            step: 1,
            top: self.down.feature,
            left: self.across.feature,
            taps: (self.down.taps, self.across.taps),
        }
    }

    /// Where the pixel of a row lies.
    fn pixel(&self, row: usize, g: &Conv) -> usize {
        let (j, i) = (row % self.across.count, row / self.across.count);
        let (i, n) = (i % self.down.count, i / self.down.count);
        let (y, x) = (self.down.first + i * g.stride, self.across.first + j * g.stride);
        (n * g.h + y) * g.w + x
    }
}

fn gathered<R: Math>(
    g: &Conv,
    dy: Operand<'_, R>,
    w: Weights<'_, R>,
    dx: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    let phases = g.stride * g.stride;
    let tile = best(work.tiles(), g.n * g.h * g.w / phases, g.c);
    let grid = |phase: &Phase| Grid::balanced(phase.rows(g), g.c, phase.depth(g), tile);
    let Parts { scratch, shared, partials } = work.parts();
    // Where the packed weights of a phase begin.
    let start = |phase| -> usize {
        let depths = (0..phase).map(|earlier| Phase::new(earlier, g).depth(g));
        depths.sum::<usize>() * g.c.next_multiple_of(tile.nr)
    };
    let shared = Kept::or_else(w.kept, shared, |to| {
        for index in 0..phases {
            let phase = Phase::new(index, g);
            let weights = PhaseWeights { g, w: w.raw, phase: &phase };
            pack_panels(tile, (phase.depth(g), g.c), &weights, &mut to[start(index)..]);
        }
    });
    let down = (0..phases).map(|index| grid(&Phase::new(index, g)).down()).max().unwrap_or(0);
    let finish = &Finish::new(epilogue, phases * down, g.c, partials);
    let dx = Shared::new(dx);
    let most = (0..phases).map(|index| grid(&Phase::new(index, g)).tasks()).max().unwrap_or(0);
    // The phases of a block follow each other: they read the same features.
    parallel(phases * most, |task| {
        let (index, task) = (task % phases, task / phases);
        let phase = Phase::new(index, g);
        let grid = grid(&phase);
        if task >= grid.tasks() {
            return;
        }
        let (rows, columns) = grid.block(task);
        let product = Product {
            tile,
            a: (Layout::Rows, &phase.windows(g).on(dy)),
            b: Right::Panels(&shared[start(index)..], phase.depth(g)),
            c: dx,
            place: &|row, channel| phase.pixel(row, g) * g.c + channel,
            accumulate: false,
            finish,
        };
        scratch.with(|buffer| {
            let Buffers { a, b, .. } = Buffers::new(buffer);
            let part = index * down + grid.row(task);
            // SAFETY: every pixel is in one phase, and there in one block.
            unsafe { product.block(part, rows, columns, 0..phase.depth(g), a, b) }
        });
    });
    epilogue.end(phases * down, g.n * g.h * g.w, partials);
}

/// The weights of a phase: rows `(tap row, tap column, k)`, columns `c`.
struct PhaseWeights<'a, R> {
    g: &'a Conv,
    w: &'a [R],
    phase: &'a Phase,
}

impl<R: Real> Pack<R> for PhaseWeights<'_, R> {
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize) {
        let (g, Phase { down, across }) = (self.g, self.phase);
        for (row, to) in rows.zip(to.chunks_mut(pitch)) {
            let (tap, k) = (row / g.k, row % g.k);
            let r = down.tap(tap / across.taps, g.stride);
            let s = across.tap(tap % across.taps, g.stride);
            let from = &self.w[((k * g.r + r) * g.s + s) * g.c..][columns.clone()];
            to[..from.len()].copy_from_slice(from);
        }
    }
}

fn scattered<R: Math>(
    g: &Conv,
    dy: Operand<'_, R>,
    w: Weights<'_, R>,
    dx: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    let (features, n, k) = (g.p * g.q, g.r * g.s * g.c, g.k);
    let tile = best(work.tiles(), g.n * features, n);
    let Parts { scratch, shared, partials } = work.parts();
    let matrix = Matrix { data: w.raw, pitch: n };
    let panels = Kept::or_else(w.kept, shared, |to| pack_panels(tile, (k, n), &matrix, to));
    let weights = Right::Panels(panels, k);
    let dy = Pixels { data: dy, pitch: k };
    let nothing = &Finish::new(&Epilogue::None, 0, 0, &mut []);
    let windows = Window::of_features(g);

    let rows = (g.n * features / MANY).clamp(FEW, BLOCK);
    let images = rows.div_ceil(features).min(g.n); // of one task
    let most = BLOCK / tile.mr * tile.mr;
    let image = g.h * g.w * g.c;
    let tasks = g.n.div_ceil(images);
    let finish = Finish::new(epilogue, tasks, g.c, partials);
    let whole = Shared::new(dx);
    parallel(tasks, |task| {
        let mine = task * images..((task + 1) * images).min(g.n);
        // SAFETY: each task has images of its own.
        let dx = unsafe { whole.part(mine.start * image, mine.len() * image) };
        dx.fill(R::ZERO);
        scratch.with(|buffer| {
            let Buffers { a, b, c } = Buffers::new(buffer);
            let rows = mine.start * features..mine.end * features;
            for columns in blocks(0..n, BLOCK / tile.nr * tile.nr) {
                for rows in blocks(rows.clone(), most) {
                    let product = Product {
                        tile,
                        a: (Layout::Rows, &dy),
                        b: weights,
                        c: Shared::new(c),
                        place: &|i, j| (i - rows.start) * PITCH + j - columns.start,
                        accumulate: false,
                        finish: nothing,
                    };
                    // SAFETY: the buffer is this thread's.
                    unsafe { product.block(0, rows.clone(), columns.clone(), 0..k, a, b) };
                    let first = mine.start * features;
                    let rows = rows.start - first..rows.end - first;
                    vectorize(
                        #[inline(always)]
                        || {
                            windows.runs(
                                rows,
                                columns.clone(),
                                #[inline(always)]
                                |run| {
                                    let from = run.row * PITCH + run.columns.start + run.before;
                                    let from = &c[from..][..run.image.len()];
                                    add_run(from, &mut dx[run.image]);
                                },
                            )
                        },
                    );
                }
            }
        });
        let pixels = mine.start * g.h * g.w..mine.end * g.h * g.w;
        // SAFETY: each task has images of its own.
        unsafe { finish.pixels(task, pixels, &whole) };
    });
    epilogue.end(tasks, g.n * g.h * g.w, partials);
}

/// `to += from`, also fast for a few elements.
#[inline(always)]
fn add_run<R: Real>(from: &[R], to: &mut [R]) {
    let (from, from_rest) = from.as_chunks::<4>();
    let (to, to_rest) = to.as_chunks_mut::<4>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = std::array::from_fn(|i| to[i] + from[i]);
    }
    for (to, &x) in to_rest.iter_mut().zip(from_rest) {
        *to += x;
    }
}

/// Cuts a range into ranges of at most `most`.
fn blocks(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(most).map(move |from| from..(from + most).min(end))
}
