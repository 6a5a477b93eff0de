//! Convolution and its two adjoints, as implicit matrix products; see [`Conv`] for the formulas.
//!
//! No operand is ever expanded in memory: windows of the image are packed block by block.

use super::gemm::{
    Buffers, Grid, Matrix, Product, Right, Transposed, Work, WorkSize, gemm, sum_parts,
};
use super::parallel::{Shared, parallel};
use super::real::Real;
use super::tile::{BLOCK, Layout, WIDEST, best};
use tape::Conv;
use window::Window;

mod dgrad;
mod thin;
mod window;

pub use dgrad::dgrad;

/// Work space of [`fprop`], [`dgrad()`] and [`wgrad`].
pub fn conv_work(g: &Conv) -> WorkSize {
    let (taps, c, k) = (g.r * g.s, g.c, g.k);
    let fprop = taps * c * (k + WIDEST);
    let gathered = taps * k * (c + WIDEST);
    let scattered = k * (taps * c + WIDEST);
    let wgrad = wgrad_parts(g) * k * taps * c;
    let shared = fprop.max(gathered).max(scattered).max(wgrad);
    let thin = if thin::applies(g) { thin::work(g) } else { WorkSize::default() };
    thin.max(WorkSize { shared })
}

/// `y = x ∗ w`: images `[n, h, w, c]` and weights `[k, r, s, c]` give `[n, p, q, k]`.
///
/// # Panics
/// If a slice has another length than its tensor, or `work` is smaller than [`conv_work`].
pub fn fprop<R: Real>(g: &Conv, x: &[R], w: &[R], y: &mut [R], work: &mut Work<R>) {
    check(g, x, w, y);
    if thin::applies(g) {
        return thin::fprop(g, x, w, y, work);
    }
    let (m, n, k) = (g.n * g.p * g.q, g.k, g.r * g.s * g.c);
    let windows = Window::of_features(g);
    let weights = Transposed(Matrix { data: w, pitch: k });
    let a = (Layout::Rows, &windows.on(x) as _);
    // SAFETY: rows of y follow each other.
    unsafe { gemm((m, n, k), a, &weights, y, &|i, j| i * n + j, false, work) }
}

/// `dw (+)=` the gradient by the weights: images `[n, h, w, c]` and gradients of features
/// `[n, p, q, k]` give `[k, r, s, c]`.
///
/// # Panics
/// If a slice has another length than its tensor, or `work` is smaller than [`conv_work`].
pub fn wgrad<R: Real>(
    g: &Conv,
    x: &[R],
    dy: &[R],
    dw: &mut [R],
    accumulate: bool,
    work: &mut Work<R>,
) {
    check(g, x, dw, dy);
    if thin::applies(g) {
        return thin::wgrad(g, x, dy, dw, accumulate, work);
    }
    let (m, n, k) = (g.k, g.r * g.s * g.c, g.n * g.p * g.q);
    if m * n == 0 {
        return;
    }
    let tile = best(work.tiles(), m, n);
    let grid = Grid::new(m, n, BLOCK, BLOCK, tile);
    let parts = wgrad_parts(g);
    let (scratch, shared) = work.parts();
    let (c, len) = match parts {
        1 => (Shared::new(dw), 0),
        _ => (Shared::new(&mut shared[..parts * m * n]), m * n),
    };
    let windows = Window::of_features(g);
    let (dy, x) = (Matrix { data: dy, pitch: m }, windows.on(x));
    parallel(parts * grid.tasks(), |task| {
        let part = task / grid.tasks();
        let (rows, columns) = grid.block(task % grid.tasks());
        let product = Product {
            tile,
            a: (Layout::Columns, &dy),
            b: Right::Rows(&x),
            c,
            place: &|i, j| part * len + i * n + j,
            accumulate: accumulate && parts == 1,
        };
        let pixels = part * k / parts..(part + 1) * k / parts;
        scratch.with(|buffer| {
            let Buffers { a, b, .. } = Buffers::new(buffer);
            // SAFETY: blocks of a grid do not overlap, nor do parts.
            unsafe { product.block(rows, columns, pixels, a, b) }
        });
    });
    if parts > 1 {
        sum_parts(&shared[..parts * m * n], dw, accumulate);
    }
}

/// Into how many parts the pixels are cut: there are many pixels and few weights, and where blocks
/// of weights are too few for tasks, each part sums them on its own.
fn wgrad_parts(g: &Conv) -> usize {
    let blocks = g.k.div_ceil(BLOCK) * (g.r * g.s * g.c).div_ceil(BLOCK);
    let pixels = g.n * g.p * g.q;
    let useful = (pixels / (2 * BLOCK)).max(1);
    32usize.div_ceil(blocks.max(1)).min(useful)
}

/// A slice of a wrong length is a mistake of the planner, not of a user.
fn check<R>(g: &Conv, images: &[R], weights: &[R], features: &[R]) {
    assert_eq!(images.len(), g.n * g.h * g.w * g.c, "images of {g:?}");
    assert_eq!(weights.len(), g.k * g.r * g.s * g.c, "weights of {g:?}");
    assert_eq!(features.len(), g.n * g.p * g.q * g.k, "features of {g:?}");
}
