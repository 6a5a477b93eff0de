//! Convolutions of stride 2 with fewer multiplications (Winograd 1980; Lavin & Gray 2015).
//!
//! Taken apart by phases, a convolution of stride 2 with a kernel of 4 or 5 is four convolutions of
//! stride 1 with 2 or 3 taps a side: `fprop` reads each phase of the image and sums over them, `dgrad`
//! writes each phase, and `wgrad` finds the weights of each. Two neighbouring results of such a
//! convolution take `taps + 1` products instead of `2 · taps`. With
//!
//! `y = Aᵀ [(G w) ∘ (Bᵀ x)]` for 2 results, `dw = Gᵀ [(A dy) ∘ (Bᵀ x)]` for the gradient,
//!
//! and the points 0, 1, ∞ for 2 taps, −1 as well for 3, all matrices hold 0, ±1 and ½. Nested over
//! both dimensions, kernel 4 takes 9/16 and kernel 5 takes 49/100 of the multiplications. The sums over
//! channels are matrix products of one point each, in the register tiles of every other product.

use super::Conv;
use crate::kernels::tile::PITCH;
use stage::STAGE;

mod forward;
mod stage;
mod transform;
mod weights;
mod wgrad;

pub(super) use forward::{dgrad, fprop};
pub(super) use weights::packed_len;
pub(super) use wgrad::{parts as wgrad_parts, wgrad};

/// Elements of a vector in the transforms; channels come in multiples of it.
const LANES: usize = 16;
/// Most points of a tile.
const POINTS: usize = 16;
/// Most rows that all points of a block have together: they stay in the second-level cache.
const ROWS: usize = 9 * 96;
/// Most columns of a block.
const COLUMNS: usize = 128;
/// Elements from one row of products to the next: an odd number of cache lines in f32.
const PRODUCTS: usize = COLUMNS + 16;
/// Tiles of a row that are staged together.
const STAGED: usize = 8;

/// The smallest number of rows or columns that is whole tiles and whole vectors.
fn unit(tile: usize) -> usize {
    (1..=LANES).map(|n| n * tile).find(|n| n.is_multiple_of(LANES)).expect("16 tiles at most")
}

/// Whether these kernels compute `g`.
pub(super) fn applies(g: &Conv) -> bool {
    let kernel = |taps: usize, pad: usize| (4..=6).contains(&taps) && pad < taps;
    let halves =
        |image: usize, features: usize| image == 2 * features && features.is_multiple_of(2);
    g.stride == 2
        && kernel(g.r, g.pad)
        && kernel(g.s, g.pad)
        && halves(g.h, g.p)
        && halves(g.w, g.q)
        && g.c.is_multiple_of(LANES)
        && g.k.is_multiple_of(LANES)
        && g.n * g.p * g.q * g.c * g.k > 0
}

/// Elements that a thread works with.
pub(super) const SCRATCH: usize = {
    let forward = ROWS * PITCH + ROWS * PRODUCTS + STAGE + 3 * LANES;
    if forward > wgrad::SCRATCH { forward } else { wgrad::SCRATCH }
};

/// One dimension of a phase, a convolution of stride 1: result i is summed over `taps` pixels from
/// `first + i · step` on, every `step`th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    first: isize,
    step: usize,
    taps: usize,
    /// The kernel's tap that is our first, and how far it is to the next.
    tap: isize,
    along: isize,
}

impl Axis {
    /// Phase `phase` of an image that `fprop` reads.
    fn of_image(phase: usize, taps: usize, pad: usize) -> Self {
        Self {
            first: phase as isize - pad as isize,
            step: 2,
            taps: (taps - phase).div_ceil(2),
            tap: phase as isize,
            along: 2,
        }
    }

    /// The features that `dgrad` reads for phase `phase` of the image: pixel `2i + phase` gets tap r
    /// from feature `i + (phase + pad − r) / 2`, so a later tap means an earlier feature.
    fn of_features(phase: usize, taps: usize, pad: usize) -> Self {
        let least = (phase + pad) % 2;
        let count = (taps - least).div_ceil(2);
        Self {
            first: ((phase + pad - least) / 2) as isize - (count as isize - 1),
            step: 1,
            taps: count,
            tap: (least + 2 * (count - 1)) as isize,
            along: -2,
        }
    }

    /// Products for two results.
    fn points(self) -> usize {
        self.taps + 1
    }

    /// The kernel's tap behind tap `t`.
    fn tap(self, t: usize) -> usize {
        (self.tap + t as isize * self.along) as usize
    }

    /// The first and the last pixel of some tiles.
    fn pixels(self, tile: usize, count: usize) -> (isize, isize) {
        let last = self.pixel(tile + count - 1) + (self.taps * self.step) as isize;
        (self.pixel(tile), last)
    }

    /// Where the first of a tile's pixels is, which may lie outside of the image.
    fn pixel(self, tile: usize) -> isize {
        self.first + (2 * tile * self.step) as isize
    }
}

/// A phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    down: Axis,
    across: Axis,
}

impl Phase {
    fn of_image(index: usize, g: &Conv) -> Self {
        Self {
            down: Axis::of_image(index / 2, g.r, g.pad),
            across: Axis::of_image(index % 2, g.s, g.pad),
        }
    }

    fn of_features(index: usize, g: &Conv) -> Self {
        Self {
            down: Axis::of_features(index / 2, g.r, g.pad),
            across: Axis::of_features(index % 2, g.s, g.pad),
        }
    }

    /// Products down and across for 2×2 results.
    fn points(&self) -> [usize; 2] {
        [self.down.points(), self.across.points()]
    }

    fn has(&self, [i, j]: [usize; 2]) -> bool {
        i < self.down.points() && j < self.across.points()
    }
}

/// Tiles of 2×2 results, image by image, row by row.
#[derive(Clone, Copy)]
struct Tiles {
    down: usize,
    across: usize,
}

/// Neighbouring tiles of one row.
struct Strip {
    image: usize,
    row: usize,
    column: usize,
    count: usize,
    /// Place of the first in its block.
    at: usize,
}

impl Tiles {
    fn new(g: &Conv) -> Self {
        Self { down: g.p / 2, across: g.q / 2 }
    }

    fn count(self, images: usize) -> usize {
        images * self.down * self.across
    }

    /// Cuts tiles `from .. to` into strips of at most [`STAGED`].
    fn strips(self, from: usize, to: usize) -> impl Iterator<Item = Strip> {
        let mut next = from;
        std::iter::from_fn(move || {
            let (line, column) = (next / self.across, next % self.across);
            let count = (self.across - column).min(to - next).min(STAGED);
            let strip = Strip {
                image: line / self.down,
                row: line % self.down,
                column,
                count,
                at: next - from,
            };
            next += count;
            (count > 0).then_some(strip)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every tap of every pixel is met once, where the definition of the convolution says.
    #[test]
    fn phases_cover_the_kernel() {
        for (taps, pad) in [(4, 1), (5, 1), (5, 2), (4, 0), (6, 2)] {
            let mut image = Vec::new();
            let mut features = Vec::new();
            for phase in 0..2 {
                let read = Axis::of_image(phase, taps, pad);
                let written = Axis::of_features(phase, taps, pad);
                for i in 0..8isize {
                    for t in 0..read.taps {
                        let pixel = read.first + (i + t as isize) * 2;
                        image.push((i, read.tap(t) as isize, pixel));
                    }
                    for t in 0..written.taps {
                        let feature = written.first + i + t as isize;
                        features.push((feature, written.tap(t) as isize, 2 * i + phase as isize));
                    }
                }
            }
            let defined = |&(feature, tap, pixel): &(isize, isize, isize)| {
                assert_eq!(pixel, 2 * feature + tap - pad as isize, "{taps} taps, {pad} zeros");
            };
            image.iter().for_each(defined);
            features.iter().for_each(defined);
            assert_eq!(image.len(), 8 * taps);
            assert_eq!(features.len(), 8 * taps);
        }
    }
}
