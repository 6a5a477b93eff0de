//! Operands, as something that blocks can be copied out of.

use crate::kernels::isa::vectorize;
use crate::kernels::real::Real;
use std::ops::Range;

/// A matrix that can be copied out block by block.
pub trait Pack<R>: Sync {
    /// Copies `rows` × `columns` to `to`, a row every `pitch` elements.
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize);
}

/// Elements that [`copy_run`] copies at a time.
const STEP: usize = 16;

/// Copies `data[run]` to the beginning of `to`, and may write something behind it: blocks are
/// packed from front to back, and calls to copy a few elements cost more than copying some too many.
#[inline(always)]
pub(in crate::kernels) fn copy_run<R: Real>(data: &[R], run: Range<usize>, to: &mut [R]) {
    let (len, most) = (run.len(), run.len().next_multiple_of(STEP));
    match (data.get(run.start..run.start + most), to.get_mut(..most)) {
        (Some(from), Some(to)) => {
            for (from, to) in from.chunks_exact(STEP).zip(to.chunks_exact_mut(STEP)) {
                to.copy_from_slice(from);
            }
        }
        _ => to[..len].copy_from_slice(&data[run]),
    }
}

/// A matrix in memory, row after row.
pub struct Matrix<'a, R> {
    /// The elements.
    pub data: &'a [R],
    /// Elements from one row to the next.
    pub pitch: usize,
}

impl<R: Real> Pack<R> for Matrix<'_, R> {
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize) {
        vectorize(
            #[inline(always)]
            || {
                for (i, row) in rows.enumerate() {
                    let from = row * self.pitch + columns.start;
                    copy_run(self.data, from..from + columns.len(), &mut to[i * pitch..]);
                }
            },
        );
    }
}

/// The transpose of a matrix in memory.
pub struct Transposed<'a, R>(
    /// Its row is our column.
    pub Matrix<'a, R>,
);

impl<R: Real> Pack<R> for Transposed<'_, R> {
    fn pack(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [R], pitch: usize) {
        for (j, column) in columns.enumerate() {
            let from = &self.0.data[column * self.0.pitch..][rows.clone()];
            for (to, &x) in to[j..].iter_mut().step_by(pitch).zip(from) {
                *to = x;
            }
        }
    }
}
