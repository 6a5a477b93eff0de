//! Who is told of a run.

use crate::{Checkpoint, Probe, Progress};
use std::path::PathBuf;

/// Why someone outside could not go on; it ends the run.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Means over the steps since the last report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Iterations so far.
    pub step: u64,
    /// Real images drawn so far.
    pub images: u64,
    /// D's loss.
    pub loss_d: f64,
    /// G's loss.
    pub loss_g: f64,
    /// V(D, G) of the objective: what D ascends, penalties left out. Equation 1 in the games of 2014.
    pub value: f64,
    /// `value` where G has won, [`crate::Objective::optimum`].
    pub optimum: Option<f64>,
    /// Mean of D(x): a probability, or a score.
    pub d_real: f64,
    /// Mean of D(G(z)).
    pub d_fake: f64,
    /// Real images a second since the last report, or since the run was begun or resumed.
    pub images_per_second: f64,
    /// Part of that time in which the device waited for data, 0 to 1.
    pub data_wait: f64,
}

/// What is told of a run. Nothing is told of a state that is not finite.
pub trait Observer {
    /// After every `every.report` images.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn report(&mut self, report: &Report) -> Result<(), Refusal>;

    /// At the start, after every `every.samples` images and at the end: time to draw samples.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn samples(&mut self, at: &Progress, probe: &mut Probe<'_>) -> Result<(), Refusal>;

    /// After every `every.checkpoint` images, at the end and at a stop: time to write it.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal>;

    /// The newest checkpoint that was written, for errors that send people there.
    fn last_checkpoint(&self) -> Option<PathBuf> {
        None
    }

    /// Lines of the logs that this observer appends to; a checkpoint keeps the number, and who
    /// resumes cuts the logs back to it.
    fn lines(&self) -> u64 {
        0
    }

    /// Asked after every iteration: whether to write a checkpoint and stop here.
    fn stop(&mut self, _at: &Progress) -> bool {
        false
    }
}
