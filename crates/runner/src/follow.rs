//! What a run tells of itself on ranks that leave it to the first to write and show.

use crate::signals::Signals;
use train::{Checkpoint, Observer, Probe, Progress, Raised, Refusal, Report};

/// Keeps nothing, and passes a wish to stop on.
pub(crate) struct Follower {
    signals: Option<Signals>,
}

impl Follower {
    pub fn new(signals: Option<Signals>) -> Self {
        Self { signals }
    }
}

impl Observer for Follower {
    fn report(&mut self, _report: &Report) -> Result<(), Refusal> {
        Ok(())
    }

    fn samples(&mut self, _at: &Progress, _probe: &mut Probe<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<(), Refusal> {
        Ok(())
    }

    fn alarm(&mut self, _raised: &Raised, _answer: &str) {}

    fn stop(&mut self, _at: &Progress) -> bool {
        self.signals.as_ref().is_some_and(Signals::asked)
    }
}
