//! What becomes of a convolution's result before it leaves the cache.

use super::map::{self, Place};
use super::math::Math;
use super::parallel::{Scratch, Shared};
use super::real::Real;
use super::tile::BLOCK;
use super::vectorized::vectorized;
use std::ops::Range;
use tape::Expr;

/// Done to each block of a result as soon as it is complete.
pub enum Epilogue<'a, R> {
    /// Nothing.
    None,
    /// An expression, whose operand 0 is the result itself.
    Map {
        /// The function of one element.
        expr: &'a Expr,
        /// Its operands, the first in the place of the result.
        operands: &'a [map::Operand<R>],
        /// Elements of the result's first row, `[n, …]`.
        each: usize,
        /// Registers of the expression.
        registers: &'a Scratch<R>,
    },
    /// Batch norm's sums, as [`crate::kernels::batch_norm::moments`] takes them.
    Moments {
        /// Running mean, `[c]`.
        shift: &'a [R],
        /// Σ(y − shift), Σ(y − shift)², count: `[2c + 1]`.
        sums: &'a mut [R],
    },
    /// The result dy becomes d = dy · leaky'(z) with z = scale · (x − mean) + shift, and is summed as
    /// [`crate::kernels::batch_norm::grad_sums`] does.
    GradientSums {
        /// What was normalised, of the result's shape.
        x: &'a [R],
        /// Mean, 1/√(variance + ε), gain over standard deviation, shift: `[c]` each.
        tables: [&'a [R]; 4],
        /// Slope of the activation below 0; 1 for none.
        slope: R,
        /// Σd, Σd·x̂: `[2c]`.
        sums: &'a mut [R],
    },
}

/// An epilogue at work: sums are taken in parts, which the shape of the problem sets, and added up in
/// order at the end.
pub(super) struct Finish<'e, 'a, R> {
    epilogue: &'e Epilogue<'a, R>,
    channels: usize,
    partials: Shared<R>,
}

/// Elements of scratch for so many parts.
pub(super) fn partials(parts: usize, channels: usize) -> usize {
    parts * 2 * channels
}

impl<'e, 'a, R: Math> Finish<'e, 'a, R> {
    /// Begins: `channels` of the result, `parts` that are finished one by one.
    pub fn new(
        epilogue: &'e Epilogue<'a, R>,
        parts: usize,
        channels: usize,
        scratch: &mut [R],
    ) -> Self {
        let scratch = match epilogue {
            Epilogue::None | Epilogue::Map { .. } => &mut [],
            _ => &mut scratch[..partials(parts, channels)],
        };
        scratch.fill(R::ZERO);
        Self { epilogue, channels, partials: Shared::new(scratch) }
    }

    /// All channels of these pixels are complete, which follow each other in `y`.
    ///
    /// # Safety
    /// No other task may touch them, nor this part.
    pub unsafe fn pixels(&self, part: usize, pixels: Range<usize>, y: &Shared<R>) {
        if matches!(self.epilogue, Epilogue::None) {
            return;
        }
        let c = self.channels;
        for from in pixels.clone().step_by(BLOCK) {
            let places: [usize; BLOCK] = std::array::from_fn(|i| (from + i) * c);
            let places = &places[..BLOCK.min(pixels.end - from)];
            // SAFETY: the contract of this function.
            unsafe { self.rows(part, places, 0..c, y) };
        }
    }

    /// The elements `places[i] .. + channels.len()` of `y` are complete. A part may be finished piece by
    /// piece.
    ///
    /// # Safety
    /// No other task may touch those elements, nor those channels of this part.
    pub unsafe fn rows(
        &self,
        part: usize,
        places: &[usize],
        channels: Range<usize>,
        y: &Shared<R>,
    ) {
        let n = channels.len();
        let sums = || {
            let from = part * 2 * self.channels + channels.start;
            // SAFETY: the contract of this function.
            unsafe { [self.partials.part(from, n), self.partials.part(from + self.channels, n)] }
        };
        match self.epilogue {
            Epilogue::None => {}
            Epilogue::Map { expr, operands, each, registers } => {
                // SAFETY: the contract of this function.
                let row = |place| unsafe { y.part(place, n) };
                // The commonest need no registers; whether this is one shows at the first row.
                if places.iter().all(|&place| map::at_once(expr, operands, row(place), place)) {
                    return;
                }
                registers.with(|registers| {
                    // Rows that follow each other are one; short ones go together, long ones in pieces.
                    let one = places.windows(2).all(|two| two[0] + n == two[1]);
                    let (places, n) =
                        if one { (&places[..1], n * places.len()) } else { (places, n) };
                    let piece = n.min(map::BLOCK);
                    for starts in places.chunks(map::BLOCK / piece) {
                        for from in (0..n).step_by(piece) {
                            let mut runs = [0; map::BLOCK];
                            let runs = &mut runs[..starts.len()];
                            for (run, start) in runs.iter_mut().zip(starts) {
                                *run = start + from;
                            }
                            let len = piece.min(n - from);
                            let channels = self.channels;
                            let place = Place { starts: runs, len, each: *each, channels };
                            map::block(expr, operands, registers, place);
                            let result = map::result(expr, registers, runs.len() * len);
                            for (&run, result) in runs.iter().zip(result.chunks_exact(len)) {
                                // SAFETY: the contract of this function.
                                unsafe { y.part(run, len) }.copy_from_slice(result);
                            }
                        }
                    }
                });
            }
            Epilogue::Moments { shift, .. } => {
                let [first, second] = sums();
                add_moments(places, y, &shift[channels.clone()], first, second);
            }
            Epilogue::GradientSums { x, tables, slope, .. } => {
                let tables = tables.map(|t| &t[channels.clone()]);
                gate_and_add(places, y, x, tables, *slope, sums());
            }
        }
    }
}

impl<R: Math> Epilogue<'_, R> {
    /// Adds up what the parts of a [`Finish`] left in `scratch`; the result has `rows` rows.
    pub(super) fn end(&mut self, parts: usize, rows: usize, scratch: &[R]) {
        let sums: &mut [R] = match self {
            Self::None | Self::Map { .. } => return,
            Self::Moments { sums, .. } => {
                let (count, channels) = sums.split_last_mut().expect("the count");
                *count = R::from_f64(rows as f64);
                channels
            }
            Self::GradientSums { sums, .. } => sums,
        };
        let width = sums.len();
        for (tile, sums) in sums.chunks_mut(TILE).enumerate() {
            let mut total = [0.0; TILE];
            for part in scratch.chunks_exact(width).take(parts) {
                for (total, x) in total.iter_mut().zip(&part[tile * TILE..]) {
                    *total += x.to_f64();
                }
            }
            for (sum, total) in sums.iter_mut().zip(total) {
                *sum = R::from_f64(total);
            }
        }
    }
}

/// Sums that are added up together.
const TILE: usize = 64;

vectorized! {
    fn add_moments[R: Real](
        places: &[usize],
        y: &Shared<R>,
        shift: &[R],
        first: &mut [R],
        second: &mut [R],
    ) {
        let n = shift.len();
        let (first, second) = (&mut first[..n], &mut second[..n]);
        for &place in places {
            // SAFETY: the contract of `Finish::rows`.
            let y = unsafe { y.part(place, n) };
            for j in 0..n {
                let d = y[j] - shift[j];
                first[j] += d;
                second[j] += d * d;
            }
        }
    }
}

vectorized! {
    fn gate_and_add[R: Real](
        places: &[usize],
        y: &Shared<R>,
        x: &[R],
        tables: [&[R]; 4],
        slope: R,
        sums: [&mut [R]; 2],
    ) {
        let n = tables[0].len();
        let [mean, istd, scale, shift] = tables.map(|t| &t[..n]);
        let [first, second] = sums;
        for &place in places {
            // SAFETY: the contract of `Finish::rows`.
            let y = unsafe { y.part(place, n) };
            gate_row(y, &x[place..][..n], [mean, istd, scale, shift], slope, first, second);
        }
    }
}

#[inline(always)]
fn gate_row<R: Real>(
    y: &mut [R],
    x: &[R],
    [mean, istd, scale, shift]: [&[R]; 4],
    slope: R,
    first: &mut [R],
    second: &mut [R],
) {
    let n = y.len();
    let (x, first, second) = (&x[..n], &mut first[..n], &mut second[..n]);
    for j in 0..n {
        let centred = x[j] - mean[j];
        let z = scale[j] * centred + shift[j];
        let d = if z > R::ZERO { y[j] } else { slope * y[j] };
        y[j] = d;
        first[j] += d;
        second[j] += d * (centred * istd[j]);
    }
}
