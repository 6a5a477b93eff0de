//! Convolutions of images with few channels, such as pictures.
//!
//! A window of such an image has few elements, so packing windows for a blocked product costs about
//! as much as multiplying them. Here nothing is packed but the weights: the image is copied a few
//! lines at a time with zeros around it, and tiles [walk](Walk) along its lines and along the
//! features where they lie.

use crate::kernels::epilogue::partials;
use crate::kernels::gemm::{PACKED, WorkSize};
use crate::kernels::isa::vectorize;
use crate::kernels::operand::Operand;
use crate::kernels::real::Real;
use crate::kernels::tile::WIDEST;
use ring::Ring;
use std::ops::Range;
use tape::Conv;

mod dgrad;
mod fprop;
mod ring;
mod wgrad;

pub(super) use dgrad::dgrad;
pub(super) use fprop::fprop;
pub(super) use wgrad::wgrad;

/// Most channels of an image that is thin.
const THIN: usize = 4;
/// Features in a line below which tiles would be mostly empty.
const NARROW: usize = 8;
/// Most elements that one feature moves along a line of the image.
const STEP: usize = 16;
/// Features of one task, about.
const PIXELS: usize = 256;
/// Tasks that keep every thread of a machine busy.
const MANY: usize = 16;

/// Whether these kernels take the convolution.
pub(super) fn applies(g: &Conv) -> bool {
    let something = [g.n, g.h, g.w, g.k, g.p, g.r * g.s].iter().all(|&n| n > 0);
    let taps = g.stride * g.c <= STEP && g.r * g.s * g.c <= WIDEST * 4;

    something && (1..=THIN).contains(&g.c) && g.q >= NARROW && taps && fits(g)
}

/// Whether each buffer of a thread holds what it must; see [`Bands`] and [`Ring`].
fn fits(g: &Conv) -> bool {
    let bands = Bands::new(g, PIXELS);
    let image = bands.lines() * bands.pitch;
    let features = Bands::new(g, wgrad::NEAR).rows * g.q * (g.k + WIDEST);
    let products = Ring::new(g, g.r * g.s * g.c + WIDEST).len();
    let features = features.max(g.q * g.k);
    image.max(features).max(products) + 2 * STEP <= PACKED
}

/// Work space of the three beside their weights.
pub(super) fn work(g: &Conv) -> WorkSize {
    let shared = wgrad::parts(g) * g.k * g.r * g.s * g.c;
    let fprop = partials(g.n * Bands::new(g, PIXELS).count, g.k);
    let dgrad = partials(g.n * dgrad::bands(g), g.c);
    WorkSize { shared, partials: fprop.max(dgrad), ..WorkSize::default() }
}

/// The features of a batch, cut into a few rows of one image each, and the lines of the image that
/// they see.
#[derive(Clone, Copy, Debug)]
struct Bands {
    /// Rows of features of a band.
    rows: usize,
    /// Bands of an image.
    count: usize,
    /// Elements of a line of the image, with its zeros.
    pitch: usize,
    taps: usize,
    stride: usize,
}

impl Bands {
    /// Bands of about so many features.
    fn new(g: &Conv, features: usize) -> Self {
        let rows = (features / g.q).clamp(1, g.p);
        let rows = g.p.div_ceil(g.p.div_ceil(rows));
        let pitch = ((g.q - 1) * g.stride + g.s) * g.c;
        Self { rows, count: g.p.div_ceil(rows), pitch, taps: g.r, stride: g.stride }
    }

    /// Rows of features of one band.
    fn rows(&self, band: usize, g: &Conv) -> Range<usize> {
        band * self.rows..((band + 1) * self.rows).min(g.p)
    }

    /// Lines of the image that a band sees.
    fn lines(&self) -> usize {
        (self.rows - 1) * self.stride + self.taps
    }

    /// Copies what the windows of these rows see of image `n`, with zeros where they look beyond it.
    fn copy<R: Real>(
        &self,
        g: &Conv,
        x: &Operand<'_, R>,
        n: usize,
        rows: Range<usize>,
        to: &mut [R],
    ) {
        let before = (g.pad * g.c).min(self.pitch);
        let inside = (g.w * g.c).min(self.pitch - before);
        let first = rows.start * self.stride;
        let lines = first..first + (rows.len() - 1) * self.stride + self.taps;
        vectorize(
            #[inline(always)]
            || {
                for (line, to) in lines.zip(to.chunks_exact_mut(self.pitch)) {
                    if line < g.pad || line >= g.pad + g.h {
                        to.fill(R::ZERO);
                        continue;
                    }
                    let from = (n * g.h + line - g.pad) * g.w * g.c;
                    to[..before].fill(R::ZERO);
                    x.copy(from..from + inside, &mut to[before..]);
                    to[before + inside..].fill(R::ZERO);
                }
            },
        );
    }
}
