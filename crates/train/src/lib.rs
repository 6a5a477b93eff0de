//! Algorithm 1 of Goodfellow et al. (2014): objectives, optimisers, EMA, checkpoints, alarms.
//!
//! An [`Experiment`] says what is trained; [`Recorded`] holds its programs; [`train`] runs them on a
//! [`tape::Device`] with the data of a [`Source`] and tells an [`Observer`] what happens. This crate
//! knows no device, no data set and no file format but that of its [`Checkpoint`].

mod alarm;
mod algorithm1;
mod check;
mod checkpoint;
mod clock;
mod count;
mod device;
mod diversity;
mod experiment;
mod faults;
mod game;
mod identity;
mod objective;
mod observer;
mod optimizer;
mod peers;
mod probe;
mod progress;
mod reals;
mod recorded;
mod restore;
mod schedule;
mod source;
mod synthetic;

#[cfg(test)]
mod fake;

pub use alarm::{Alarm, LASTS, LOOK, Look, OnAlarm, Raised, Watch};
pub use algorithm1::{Job, Outcome, TrainError, train};
pub use checkpoint::{Checkpoint, CheckpointError, Header, Saved};
pub use clock::clock;
pub use count::Count;
pub use device::DeviceName;
pub use experiment::{
    Data, Every, Experiment, NormStatistics, Optimizers, Precision, SamplingStatistics, Schedule,
    Split,
};
pub use objective::{Objective, Relativistic, Wasserstein};
pub use observer::{Observer, Refusal, Report};
pub use optimizer::{Adam, Momentum, Optimizer, Ramp, Sgd};
pub use peers::{Alone, Peers};
pub use probe::{Probe, Weights};
pub use progress::Progress;
pub use recorded::{Recorded, SAMPLES};
pub use schedule::Steps;
pub use source::Source;
pub use synthetic::Gaussian;

pub use model::{Model, Problem};
