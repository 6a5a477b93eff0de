//! Pixels of one phase side by side, in the first-level cache, with zeros around the image. This is
//! where an operand's function is computed, once for all tiles that share a pixel.

use super::ahead::Run;
use super::{LANES, Phase, Strip};
use crate::kernels::operand::Operand;
use crate::kernels::real::Real;
use std::ops::Range;

/// A tensor `[n, h, w, c]`.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Side {
    /// The pixels under the tiles of some strips, `2 · step` a side for each, row by row: about what
    /// [`Self::stage`] reads for all phases.
    pub fn runs(
        self,
        strips: impl Iterator<Item = Strip>,
        step: usize,
        channels: Range<usize>,
    ) -> impl Iterator<Item = Run> {
        strips.flat_map(move |strip| {
            let (top, left) = (2 * step * strip.row, 2 * step * strip.column);
            let (from, len) = (channels.start, channels.len());
            (0..2 * step).map(move |row| Run {
                first: ((strip.image * self.h + top + row) * self.w + left) * self.c + from,
                step: self.c,
                count: 2 * step * strip.count,
                len,
            })
        })
    }

    /// `rows` × `length` pixels from the first of a strip of tiles on.
    pub fn stage<R: Real>(
        &self,
        x: &Operand<'_, R>,
        phase: &Phase,
        strip: &Strip,
        [rows, length]: [usize; 2],
        channels: Range<usize>,
        to: &mut [R],
    ) {
        let n = channels.len();
        debug_assert!(n.is_multiple_of(LANES));
        let (top, left) = (phase.down.pixel(strip.row), phase.across.pixel(strip.column));
        let (down, across) = (phase.down.step as isize, phase.across.step as isize);
        // Pixels before the first that lies in the image, and up to the last.
        let before = ((-left).max(0) + across - 1) / across;
        let end = (self.w as isize - left + across - 1).max(0) / across;
        let before = (before as usize).min(length);
        let end = (end as usize).clamp(before, length);
        for (row, to) in to.chunks_exact_mut(length * n).take(rows).enumerate() {
            let y = top + row as isize * down;
            if y < 0 || y >= self.h as isize {
                to.fill(R::ZERO);
                continue;
            }
            to[..before * n].fill(R::ZERO);
            to[end * n..].fill(R::ZERO);
            if before < end {
                let x0 = (left + before as isize * across) as usize;
                let pixel = (strip.image * self.h + y as usize) * self.w + x0;
                let first = pixel * self.c + channels.start;
                let inside = &mut to[before * n..end * n];
                let taken = (first, across as usize, end - before);
                x.pixels(taken, self.c, channels.clone(), inside);
            }
        }
    }
}
