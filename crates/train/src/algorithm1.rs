//! Algorithm 1 of Goodfellow et al. (2014), and when to tell of it.

use crate::checkpoint::CheckpointError;
use crate::game::Game;
use crate::peers::Lost;
use crate::{
    Checkpoint, Experiment, Observer, Peers, Progress, Raised, Recorded, Refusal, Schedule, Source,
};
use std::path::PathBuf;
use tape::{Device, DeviceError, Options};

/// What is run, and by whom.
pub struct Job<'a> {
    /// An experiment that was checked.
    pub spec: &'a Experiment,
    /// Its programs.
    pub recorded: &'a Recorded,
    /// The ranks that run it together.
    pub peers: &'a dyn Peers,
    /// Choices of the device.
    pub options: Options,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All images were shown.
    Finished(Progress),
    /// It was asked to stop, and can be resumed from its last checkpoint.
    Stopped(Progress),
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A step whose result was not finite.
    #[error(
        "step {} ({} images): {what}. Nothing was updated since, and nothing was written. {}. \
         Try a lower learning rate, or the other player's", at.step + 1, at.images, back(last)
    )]
    NotFinite {
        /// Before the step.
        at: Progress,
        /// Program, operation, tensor and the line that recorded it.
        what: String,
        /// The newest checkpoint.
        last: Option<PathBuf>,
    },
    /// An alarm ended the run; its state was kept before.
    #[error("alarm {raised}. {why}. {}, and the run can go on from it. {}", back(last), raised.alarm.advice())]
    Alarm {
        /// Which, and by what figures.
        raised: Box<Raised>,
        /// Why it ends the run.
        why: String,
        /// The newest checkpoint.
        last: Option<PathBuf>,
    },
    /// The device failed.
    #[error("{}{}", if matches!(.0, DeviceError::Lost(_)) { "" } else { "the device failed: " }, .0)]
    Device(#[from] DeviceError),
    /// There are no more samples.
    #[error("no samples after {position}: {error}")]
    Source {
        /// Samples so far.
        position: u64,
        /// The source's reason.
        error: Refusal,
    },
    /// The data does not fit the programs.
    #[error("the data: found {found}, expected {expected}")]
    Data {
        /// What the source says.
        found: String,
        /// What was recorded.
        expected: String,
    },
    /// Another rank does not go on.
    #[error("{0}")]
    Peers(Refusal),
    /// The observer gave up.
    #[error(transparent)]
    Observer(Refusal),
    /// The checkpoint cannot be continued.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl From<Lost> for TrainError {
    fn from(Lost(refusal): Lost) -> Self {
        Self::Peers(refusal)
    }
}

impl TrainError {
    /// Whether it is told of the run and not of this rank: all ranks have found the same.
    pub fn is_of_all_ranks(&self) -> bool {
        matches!(self, Self::NotFinite { .. } | Self::Alarm { .. })
    }
}

fn back(last: &Option<PathBuf>) -> String {
    match last {
        Some(path) => format!("The last checkpoint is {}", path.display()),
        None => "There is no checkpoint yet".to_string(),
    }
}

/// Trains, from the start or from a checkpoint. `data` stands at the checkpoint's position already. Of
/// several ranks the first alone is given the checkpoint: it tells the others, as it tells them whatever the
/// ranks decide; what its observer is told, those of the others are told as well, but for samples and checkpoints.
///
/// # Errors
/// A step that was not finite, with the first tensor that was not; an alarm that the experiment says
/// to stop at; data that does not fit; what the
/// device, the source and the observer report.
pub fn train(
    job: &Job<'_>,
    device: &mut dyn Device,
    data: &mut dyn Source,
    run: &mut dyn Observer,
    resume: Option<&Checkpoint>,
) -> Result<Outcome, TrainError> {
    let Job { spec, recorded, .. } = job;
    let steps = recorded.steps;
    let _run = tracing::info_span!("run", rank = job.peers.rank()).entered();
    device.load(&recorded.tape, &job.options)?;
    let mut game = Game::begin(job, device, data, run, resume)?;
    let [first, last] = match spec.schedule {
        Schedule::AlternateBatches => [steps.generator, None],
        _ => [None, steps.generator],
    };
    while game.progress.images < spec.images.0 {
        let before = game.progress;
        if let Some(generator) = first {
            // The 2015 code: G opens the cycle, and uses up a batch of real samples that D never sees.
            game.draw()?;
            game.step_generator(generator)?;
        }
        for _ in 0..spec.k {
            // "for k steps do": x ~ p_data, z ~ p_z, D ascends its stochastic gradient.
            game.draw()?;
            game.step_discriminator(steps.discriminator)?;
        }
        if let Some(generator) = last {
            // z ~ p_z, G descends its stochastic gradient.
            game.step_generator(generator)?;
        }
        game.end_iteration()?;
        game.tell(&before)?;
        // At its end a run is finished and not stopped.
        if game.progress.images < spec.images.0 && game.stopped()? {
            return Ok(Outcome::Stopped(game.progress));
        }
    }
    game.finish()?;
    Ok(Outcome::Finished(game.progress))
}

#[cfg(test)]
mod tests;
