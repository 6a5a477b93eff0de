//! What a convolution reads: a tensor, or a function of one that is computed while it is packed and
//! never lies in memory as a whole.

use super::gemm::{Pack, copy_run};
use super::isa::vectorize;
use super::prefetch;
use super::real::Real;
use super::vectorized::vectorized;
use std::ops::Range;

/// An operand `[…, c]`. Tables have one value per channel, `[c]`.
#[derive(Clone, Copy)]
pub enum Operand<'a, R> {
    /// The tensor itself.
    Plain(&'a [R]),
    /// `leaky(scale · (x − mean) + shift)`: what a batch norm and its activation make of x.
    Normalized {
        /// What is normalised.
        x: &'a [R],
        /// Mean.
        mean: &'a [R],
        /// Gain over standard deviation.
        scale: &'a [R],
        /// Shift.
        shift: &'a [R],
        /// Slope of the activation below 0; 1 for none.
        slope: R,
    },
    /// `a · d + b · (x − mean) + c`: the gradient of a batch norm by what it normalised.
    Gradient {
        /// Gradient by the norm's result, through the activation.
        d: &'a [R],
        /// What was normalised.
        x: &'a [R],
        /// Mean of x.
        mean: &'a [R],
        /// Factor of d.
        a: &'a [R],
        /// Factor of x − mean.
        b: &'a [R],
        /// Summand.
        c: &'a [R],
    },
}

impl<R: Real> Operand<'_, R> {
    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(x) | Self::Normalized { x, .. } | Self::Gradient { x, .. } => x.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements `run`, which begin and end at any channel, to the beginning of `to`; something may be
    /// written behind them.
    #[inline(always)]
    pub(super) fn copy(&self, run: Range<usize>, to: &mut [R]) {
        match self {
            Self::Plain(x) => copy_run(x, run, to),
            _ => compute_run(self, run, to),
        }
    }

    /// Channels `channels` of `count` pixels, of which every `step`th is taken, side by side in `to`.
    /// `first` is the first of these elements, and a pixel has `c` of them.
    pub(super) fn pixels(
        &self,
        (first, step, count): (usize, usize, usize),
        c: usize,
        channels: Range<usize>,
        to: &mut [R],
    ) {
        read_pixels(self, first, step * c, count, channels, to);
    }

    /// The elements `run` will be read soon.
    #[inline(always)]
    pub(super) fn prefetch(&self, run: Range<usize>) {
        match self {
            Self::Plain(x) | Self::Normalized { x, .. } => {
                prefetch::read(x.as_ptr().wrapping_add(run.start), run.len());
            }
            Self::Gradient { d, x, .. } => {
                prefetch::read(d.as_ptr().wrapping_add(run.start), run.len());
                prefetch::read(x.as_ptr().wrapping_add(run.start), run.len());
            }
        }
    }
}

vectorized! {
    /// The elements `run`, from any channel to any other.
    fn compute_run[R: Real](operand: &Operand<'_, R>, run: Range<usize>, to: &mut [R]) {
        let c = match operand {
            Operand::Plain(_) => run.len(),
            Operand::Normalized { mean, .. } | Operand::Gradient { mean, .. } => mean.len(),
        };
        let (mut channel, mut at, mut to) = (run.start % c.max(1), run.start, &mut to[..run.len()]);
        while !to.is_empty() {
            let (now, rest) = to.split_at_mut((c - channel).min(to.len()));
            compute(operand, at, channel, now);
            (channel, at, to) = (0, at + now.len(), rest);
        }
    }
}

vectorized! {
    fn read_pixels[R: Real](
        operand: &Operand<'_, R>,
        first: usize,
        step: usize,
        count: usize,
        channels: Range<usize>,
        to: &mut [R],
    ) {
        let n = channels.len();
        for (i, to) in to.chunks_exact_mut(n).take(count).enumerate() {
            compute(operand, first + i * step, channels.start, to);
        }
    }
}

/// `to.len()` elements from element `at` on, all of one pixel, the first of channel `channel`.
#[inline(always)]
fn compute<R: Real>(operand: &Operand<'_, R>, at: usize, channel: usize, to: &mut [R]) {
    let n = to.len();
    let (here, these) = (at..at + n, channel..channel + n);
    match operand {
        // Calls to copy a few elements cost more than loops.
        Operand::Plain(x) => {
            let (from, from_rest) = x[here].as_chunks::<16>();
            let (to, to_rest) = to.as_chunks_mut::<16>();
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
            if !to_rest.is_empty() {
                to_rest.copy_from_slice(from_rest);
            }
        }
        Operand::Normalized { x, mean, scale, shift, slope } => {
            let x = &x[here];
            let (mean, scale) = (&mean[these.clone()], &scale[these.clone()]);
            let shift = &shift[these];
            for j in 0..n {
                let z = scale[j] * (x[j] - mean[j]) + shift[j];
                to[j] = if z > R::ZERO { z } else { *slope * z };
            }
        }
        Operand::Gradient { d, x, mean, a, b, c } => {
            let (d, x, mean) = (&d[here.clone()], &x[here], &mean[these.clone()]);
            let (a, b, c) = (&a[these.clone()], &b[these.clone()], &c[these]);
            for j in 0..n {
                to[j] = a[j] * d[j] + b[j] * (x[j] - mean[j]) + c[j];
            }
        }
    }
}

/// A matrix in memory whose elements are read through a function: row after row, `pitch` elements to a
/// row, of which each is a pixel.
pub(super) struct Pixels<'a, R> {
    pub data: Operand<'a, R>,
    pub pitch: usize,
}

impl<R: Real> Pack<R> for Pixels<'_, R> {
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize) {
        vectorize(
            #[inline(always)]
            || {
                for (i, row) in rows.enumerate() {
                    let from = row * self.pitch + columns.start;
                    self.data.copy(from..from + columns.len(), &mut to[i * pitch..]);
                }
            },
        );
    }
}
