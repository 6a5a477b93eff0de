//! The gradient by the images, which is also the transposed convolution.
//!
//! Two ways. *Gathered*: pixels of the image whose coordinates leave the same remainders by the
//! stride are reached by the same taps, so each of the stride² phases is a product of its own, of
//! windows of features with some of the taps. *Scattered*: one product gives what every feature
//! adds to each pixel of its window, and the windows are added to the image while they are in the
//! cache. The second is for few channels, where the tiles of the first would be mostly empty, and
//! for images of one window.

use super::check;
use super::window::Window;
use crate::kernels::gemm::{Buffers, Matrix, Pack, Product, Right, Work, gemm, pack_panels};
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::real::Real;
use crate::kernels::tile::{BLOCK, Layout, PITCH, Tile, best};
use std::ops::Range;
use tape::Conv;

/// What adding one element of a window costs, in multiply-adds of a tile.
const ADDING: usize = 24;
/// Rows of a scattered product that are worth a task.
const FEW: usize = 24;
/// Tasks that keep every thread of a machine busy.
const MANY: usize = 16;

/// `dx =` the gradient by the images: gradients of features `[n, p, q, k]` and weights
/// `[k, r, s, c]` give `[n, h, w, c]`. Every element is written, also those no tap reaches.
///
/// # Panics
/// If a slice has another length than its tensor, or `work` is smaller than
/// [`conv_work`](super::conv_work).
pub fn dgrad<R: Real>(g: &Conv, dy: &[R], w: &[R], dx: &mut [R], work: &mut Work<R>) {
    check(g, dx, w, dy);
    if dx.is_empty() {
    } else if dy.is_empty() || w.is_empty() {
        dx.fill(R::ZERO);
    } else if scattered_is_cheaper(g, work.tiles()) {
        scattered(g, dy, w, dx, work);
    } else {
        gathered(g, dy, w, dx, work);
    }
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
struct Phase {
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

impl Phase {
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

fn gathered<R: Real>(g: &Conv, dy: &[R], w: &[R], dx: &mut [R], work: &mut Work<R>) {
    let stride = g.stride;
    for phase in 0..stride * stride {
        let down = Phase::new(g.h, g.r, phase / stride, g);
        let across = Phase::new(g.w, g.s, phase % stride, g);
        let windows = Window {
            h: g.p,
            w: g.q,
            c: g.k,
            grid: (down.count, across.count),
            step: 1,
            top: down.feature,
            left: across.feature,
            taps: (down.taps, across.taps),
        };
        let weights = PhaseWeights {
            g,
            w,
            down: &down,
            across: &across,
        };
        let place = |row: usize, channel: usize| {
            let (j, i) = (row % across.count, row / across.count);
            let (i, n) = (i % down.count, i / down.count);
            let (y, x) = (down.first + i * stride, across.first + j * stride);
            ((n * g.h + y) * g.w + x) * g.c + channel
        };
        let shape = (
            g.n * down.count * across.count,
            g.c,
            down.taps * across.taps * g.k,
        );
        let a = (Layout::Rows, &windows.on(dy) as _);
        // SAFETY: every pixel is in one phase and there in one row.
        unsafe { gemm(shape, a, &weights, dx, &place, false, work) }
    }
}

/// The weights of a phase: rows `(tap row, tap column, k)`, columns `c`.
struct PhaseWeights<'a, R> {
    g: &'a Conv,
    w: &'a [R],
    down: &'a Phase,
    across: &'a Phase,
}

impl<R: Real> Pack<R> for PhaseWeights<'_, R> {
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize) {
        let g = self.g;
        for (row, to) in rows.zip(to.chunks_mut(pitch)) {
            let (tap, k) = (row / g.k, row % g.k);
            let r = self.down.tap(tap / self.across.taps, g.stride);
            let s = self.across.tap(tap % self.across.taps, g.stride);
            let from = &self.w[((k * g.r + r) * g.s + s) * g.c..][columns.clone()];
            to[..from.len()].copy_from_slice(from);
        }
    }
}

fn scattered<R: Real>(g: &Conv, dy: &[R], w: &[R], dx: &mut [R], work: &mut Work<R>) {
    let (features, n, k) = (g.p * g.q, g.r * g.s * g.c, g.k);
    let tile = best(work.tiles(), g.n * features, n);
    let (scratch, shared) = work.parts();
    pack_panels(tile, (k, n), &Matrix { data: w, pitch: n }, shared);
    let weights = Right::Panels(shared, k);
    let dy = Matrix { data: dy, pitch: k };
    let windows = Window::of_features(g);

    let rows = (g.n * features / MANY).clamp(FEW, BLOCK);
    let images = rows.div_ceil(features).min(g.n); // of one task
    let most = BLOCK / tile.mr * tile.mr;
    let image = g.h * g.w * g.c;
    let dx = Shared::new(dx);
    parallel(g.n.div_ceil(images), |task| {
        let mine = task * images..((task + 1) * images).min(g.n);
        // SAFETY: each task has images of its own.
        let dx = unsafe { dx.part(mine.start * image, mine.len() * image) };
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
                    };
                    // SAFETY: the buffer is this thread's.
                    unsafe { product.block(rows.clone(), columns.clone(), 0..k, a, b) };
                    let first = mine.start * features;
                    let rows = rows.start - first..rows.end - first;
                    windows.runs(rows, columns.clone(), |run| {
                        let from = &c[run.row * PITCH + run.columns.start + run.before..];
                        for (to, &x) in dx[run.image].iter_mut().zip(from) {
                            *to += x;
                        }
                    });
                }
            }
        });
    });
}

/// Cuts a range into ranges of at most `most`.
fn blocks(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(most)
        .map(move |from| from..(from + most).min(end))
}
