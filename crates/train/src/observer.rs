//! Who is told of a run.

use crate::{Alarm, Checkpoint, Probe, Progress, Raised};
use std::path::PathBuf;

/// Why someone outside could not go on; it ends the run.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Means over the steps since the last report.
#[derive(Clone, Debug, PartialEq)]
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
    /// Mean of D's raw output on G(z): its logit, or the score itself.
    pub logit_fake: f64,
    /// How diverse G is now: the mean distance from a sample to its nearest neighbour, among the
    /// samples for 64 fixed z of G's own parameters, over that among 64 samples of the data. 1 is as
    /// diverse as the data, 0 one picture or a handful of them. Nothing where the data is all one.
    pub diversity: Option<f64>,
    /// The alarms in force.
    pub alarms: Vec<Alarm>,
    /// How often an alarm has sent the run back.
    pub rollbacks: u64,
    /// Real images a second since the last report, or since the run was begun or resumed.
    pub images_per_second: f64,
    /// Part of that time in which the device waited for data, 0 to 1.
    pub data_wait: f64,
}

/// What is told of a run. Nothing is told of a state that is not finite.
pub trait Observer {
    /// After every `every.report` images, and when an alarm is raised.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn report(&mut self, report: &Report) -> Result<(), Refusal>;

    /// At the start, after every `every.samples` images, when an alarm is raised and at the end: time
    /// to draw samples.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn samples(&mut self, at: &Progress, probe: &mut Probe<'_>) -> Result<(), Refusal>;

    /// After every `every.checkpoint` images, at the end and at a stop: time to write it.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal>;

    /// An alarm was raised; `answer` says what the run does now.
    fn alarm(&mut self, raised: &Raised, answer: &str) {
        tracing::warn!("alarm: {raised}; {answer}");
    }

    /// The newest checkpoint of this run that was taken when no more than so many images had been
    /// shown.
    ///
    /// # Errors
    /// A checkpoint that cannot be read.
    fn checkpoint_before(&mut self, _images: u64) -> Result<Option<Checkpoint>, Refusal> {
        Ok(None)
    }

    /// The run goes back to `checkpoint`, which takes the place of the one that was taken there.
    /// Everything later is to be put aside: whoever resumes the run must not find it.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn roll_back(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        self.checkpoint(checkpoint)
    }

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
