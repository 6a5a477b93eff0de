//! Where real samples come from.

use crate::Refusal;
use std::time::Duration;
use tape::Dtype;

/// An endless stream of batches of real samples. Each rank has its own, which holds its rows of each
/// batch of the world.
pub trait Source {
    /// Fills `into` with this rank's rows of the next batch: samples `[h, w, c]` one after another,
    /// of type [`Source::dtype`], little endian.
    ///
    /// # Errors
    /// Whatever keeps the source from it; it ends the run.
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal>;

    /// Samples handed out so far, over all ranks. A source made at this position goes on the same.
    fn position(&self) -> u64;

    /// Time that [`Source::next`] has waited for samples so far.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Mean of each number of a sample over the data, scaled to [0, 1], if there is such a range.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn marginals(&mut self) -> Result<Option<Vec<f64>>, Refusal> {
        Ok(None)
    }

    /// `n` samples that lie evenly over the data, as [`Source::next`] gives them but not mirrored:
    /// always the same ones, wherever the source stands.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal>;

    /// Goes back, or on, to a position that [`Source::position`] has told.
    ///
    /// # Errors
    /// Whatever keeps the source from it; it ends the run.
    fn seek(&mut self, position: u64) -> Result<(), Refusal>;

    /// Extents of one sample: height, width, channels.
    fn sample(&self) -> [usize; 3];

    /// [`Dtype::U8`] for pixels, [`Dtype::F32`] for numbers.
    fn dtype(&self) -> Dtype;
}
