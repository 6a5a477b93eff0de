//! How far a run has come.

use serde::{Deserialize, Serialize};

/// Counters of a run. They and the tensors of state are all that a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Iterations: k steps of D and one of G each.
    pub step: u64,
    /// Real images drawn, over all ranks.
    pub images: u64,
    /// Runs of training programs. Every run has a number of its own, which keys what it draws.
    pub tick: u64,
    /// Updates of D.
    pub discriminator: u64,
    /// Updates of G.
    pub generator: u64,
    /// The step of the last report: the window of the next one begins behind it.
    pub reported: u64,
    /// How often an alarm has sent the run back; each time halves the learning rates.
    pub rollbacks: u64,
}

impl Progress {
    /// Whether a multiple of `every` images was reached since `before`.
    pub(crate) fn passed(&self, before: &Self, every: u64) -> bool {
        self.images / every != before.images / every
    }
}
