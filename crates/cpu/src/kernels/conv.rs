//! Convolution and its two adjoints, as implicit matrix products; see [`Conv`] for the formulas.
//!
//! No operand is ever expanded in memory: windows of the image are packed block by block.

use super::epilogue::{Epilogue, Finish, partials};
use super::gemm::{
    Buffers, Grid, Kept, Matrix, Parts, Product, Right, Transposed, Work, WorkSize, gemm, sum_parts,
};
use super::math::Math;
use super::operand::{Operand, Pixels};
use super::parallel::{Shared, parallel};
use super::tile::{BLOCK, Layout, WIDEST, best};
use tape::Conv;
use window::Window;

mod dgrad;
mod thin;
mod window;
mod winograd;

pub use dgrad::dgrad;

/// Rows of a product that are worth a task.
const FEW: usize = 24;
/// Tasks that keep every thread of a machine busy.
const MANY: usize = 16;

/// Weights `[k, r, s, c]`, and where their packed form is kept if they are used more than once.
pub struct Weights<'a, R> {
    /// The tensor.
    pub raw: &'a [R],
    /// Room of [`kept_len`] elements.
    pub kept: Option<&'a mut Kept<R>>,
}

impl<'a, R> From<&'a [R]> for Weights<'a, R> {
    fn from(raw: &'a [R]) -> Self {
        Self { raw, kept: None }
    }
}

/// Elements that the packed weights of [`fprop`] or [`dgrad()`] take at most.
pub fn kept_len(g: &Conv) -> usize {
    if winograd::applies(g) {
        return winograd::packed_len(g);
    }
    let (taps, c, k) = (g.r * g.s, g.c, g.k);
    let fprop = taps * c * (k + WIDEST);
    let gathered = taps * k * (c + WIDEST);
    let scattered = k * (taps * c + WIDEST);
    fprop.max(gathered).max(scattered)
}

/// Work space of [`fprop`], [`dgrad()`] and [`wgrad`].
pub fn conv_work(g: &Conv) -> WorkSize {
    let (c, k) = (g.c, g.k);
    let (thread, parts) = match winograd::applies(g) {
        true => (winograd::SCRATCH, winograd::wgrad_parts(g)),
        false => (0, wgrad_parts(g)),
    };
    let shared = kept_len(g).max(parts * k * g.r * g.s * c);
    let parts = |rows: usize| rows / FEW + 8 * MANY;
    let sums = partials(parts(g.n * g.p * g.q), k).max(partials(parts(g.n * g.h * g.w), c));
    let thin = if thin::applies(g) { thin::work(g) } else { WorkSize::default() };
    thin.max(WorkSize { thread, shared, partials: sums })
}

/// `y = x ∗ w`: images `[n, h, w, c]` and weights `[k, r, s, c]` give `[n, p, q, k]`.
///
/// # Panics
/// If a slice has another length than its tensor, or `work` is smaller than [`conv_work`].
pub fn fprop<R: Math>(
    g: &Conv,
    x: Operand<'_, R>,
    w: Weights<'_, R>,
    y: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    check(g, x.len(), w.raw.len(), y.len());
    if thin::applies(g) {
        return thin::fprop(g, x, w, y, epilogue, work);
    }
    if winograd::applies(g) {
        return winograd::fprop(g, x, w, y, epilogue, work);
    }
    let (m, n, k) = (g.n * g.p * g.q, g.k, g.r * g.s * g.c);
    let windows = Window::of_features(g);
    let weights = Transposed(Matrix { data: w.raw, pitch: k });
    let (a, b) = ((Layout::Rows, &windows.on(x) as _), (&weights as _, w.kept));
    // SAFETY: rows of y follow each other.
    unsafe { gemm((m, n, k), a, b, y, &|i, j| i * n + j, false, epilogue, work) }
}

/// `dw (+)=` the gradient by the weights: images `[n, h, w, c]` and gradients of features
/// `[n, p, q, k]` give `[k, r, s, c]`.
///
/// # Panics
/// If a slice has another length than its tensor, or `work` is smaller than [`conv_work`].
pub fn wgrad<R: Math>(
    g: &Conv,
    x: Operand<'_, R>,
    dy: Operand<'_, R>,
    dw: &mut [R],
    accumulate: bool,
    work: &mut Work<R>,
) {
    check(g, x.len(), dw.len(), dy.len());
    if thin::applies(g) {
        return thin::wgrad(g, x, dy, dw, accumulate, work);
    }
    if winograd::applies(g) {
        return winograd::wgrad(g, x, dy, dw, accumulate, work);
    }
    let (m, n, k) = (g.k, g.r * g.s * g.c, g.n * g.p * g.q);
    if m * n == 0 {
        return;
    }
    let tile = best(work.tiles(), m, n);
    let grid = Grid::new(m, n, BLOCK, BLOCK, tile);
    let parts = wgrad_parts(g);
    let Parts { scratch, shared, .. } = work.parts();
    let finish = &Finish::new(&Epilogue::None, 0, 0, &mut []);
    let (c, len) = match parts {
        1 => (Shared::new(dw), 0),
        _ => (Shared::new(&mut shared[..parts * m * n]), m * n),
    };
    let windows = Window::of_features(g);
    let (dy, x) = (Pixels { data: dy, pitch: m }, windows.on(x));
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
            finish,
        };
        let pixels = part * k / parts..(part + 1) * k / parts;
        scratch.with(|buffer| {
            let Buffers { a, b, .. } = Buffers::new(buffer);
            // SAFETY: blocks of a grid do not overlap, nor do parts.
            unsafe { product.block(0, rows, columns, pixels, a, b) }
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
fn check(g: &Conv, images: usize, weights: usize, features: usize) {
    assert_eq!(images, g.n * g.h * g.w * g.c, "images of {g:?}");
    assert_eq!(weights, g.k * g.r * g.s * g.c, "weights of {g:?}");
    assert_eq!(features, g.n * g.p * g.q * g.k, "features of {g:?}");
}
