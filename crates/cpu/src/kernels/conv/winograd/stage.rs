//! The pixels under a few tiles side by side, in a near cache, with zeros around the image. This is where
//! an operand's function is computed, once for all tiles and phases that share a pixel.

use super::{LANES, Phase, Strip};
use crate::kernels::operand::Operand;
use crate::kernels::real::Real;
use std::ops::Range;

/// Elements of the stage: a window of 8 × 36 pixels of 64 channels.
pub(super) const STAGE: usize = 8 * 36 * 64;

/// A tensor `[n, h, w, c]`.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

/// Pixels that some phases read for a strip of tiles: whole rows, or every second one.
pub(super) struct Window {
    top: isize,
    left: isize,
    apart: usize,
    rows: usize,
    length: usize,
}

/// Where a phase finds its pixels in a staged window: the first, and elements to the next row, pixel,
/// tile.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    pub start: usize,
    pub row: usize,
    pub pixel: usize,
    pub tile: usize,
}

impl Steps {
    /// Behind the last element that is read for `size` pixels of `count` tiles with `c` channels.
    pub fn end(&self, [rows, pixels]: [usize; 2], count: usize, c: usize) -> usize {
        self.start + (rows - 1) * self.row + (pixels - 1) * self.pixel + (count - 1) * self.tile + c
    }
}

impl Window {
    pub fn new(phases: &[Phase], strip: &Strip) -> Self {
        let (top, bottom) = extent(phases.iter().map(|p| p.down.pixels(strip.row, 1)));
        let (left, right) =
            extent(phases.iter().map(|p| p.across.pixels(strip.column, strip.count)));
        let down = phases[0].down;
        let apart = if phases.iter().all(|p| p.down == down) { down.step } else { 1 };
        let count = |from: isize, to: isize, step: usize| (to - from) as usize / step + 1;
        let (rows, length) = (count(top, bottom, apart), count(left, right, 1));
        Self { top, left, apart, rows, length }
    }

    /// Two rows of features under a strip.
    pub fn of_results(strip: &Strip) -> Self {
        let (top, left) = (2 * strip.row as isize, 2 * strip.column as isize);
        Self { top, left, apart: 1, rows: 2, length: 2 * strip.count }
    }

    /// Most channels that can be staged at a time.
    pub fn channels(&self) -> usize {
        STAGE / (self.rows * self.length) / LANES * LANES
    }

    /// Where `phase` finds its pixels, with `c` channels.
    pub fn steps(&self, phase: &Phase, strip: &Strip, c: usize) -> Steps {
        let down = (phase.down.pixel(strip.row) - self.top) as usize / self.apart;
        let across = (phase.across.pixel(strip.column) - self.left) as usize;
        Steps {
            start: (down * self.length + across) * c,
            row: phase.down.step / self.apart * self.length * c,
            pixel: phase.across.step * c,
            tile: 2 * phase.across.step * c,
        }
    }

    /// The same for results, which are two pixels apart.
    pub fn steps_of_results(&self, c: usize) -> Steps {
        Steps { start: 0, row: self.length * c, pixel: c, tile: 2 * c }
    }

    /// Reads channels of the window's pixels from `x`, of shape `side`.
    pub fn stage<R: Real>(
        &self,
        x: &Operand<'_, R>,
        side: Side,
        image: usize,
        channels: Range<usize>,
        to: &mut [R],
    ) {
        let n = channels.len();
        let &Self { top, left, apart, rows, length } = self;
        // Pixels before the first that lies in the image, and up to the last.
        let before = (-left.min(0) as usize).min(length);
        let end = ((side.w as isize - left).max(0) as usize).clamp(before, length);
        for (row, to) in to.chunks_exact_mut(length * n).take(rows).enumerate() {
            let y = top + (row * apart) as isize;
            if y < 0 || y >= side.h as isize || before == end {
                to.fill(R::ZERO);
                continue;
            }
            if before > 0 {
                to[..before * n].fill(R::ZERO);
            }
            if end < length {
                to[end * n..].fill(R::ZERO);
            }
            let first = (image * side.h + y as usize) * side.w + (left + before as isize) as usize;
            let taken = (first * side.c + channels.start, 1, end - before);
            x.pixels(taken, side.c, channels.clone(), &mut to[before * n..end * n]);
        }
    }
}

/// The least and the greatest.
fn extent(ranges: impl Iterator<Item = (isize, isize)>) -> (isize, isize) {
    ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("there are phases")
}
