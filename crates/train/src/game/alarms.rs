//! Looks for alarms, and what the run does about one.

use super::Game;
use crate::alarm::{LOOK, Look, OnAlarm, Raised};
use crate::algorithm1::{Job, TrainError};
use crate::diversity::Diversity;
use crate::recorded::Window;
use crate::{Probe, SAMPLES, reals};

/// A run goes back this often; then its alarms stop it.
const MOST: u64 = 3;

/// What a rollback makes of the learning rates.
const SLOWER: f64 = 0.5;

impl Game<'_> {
    /// Asks the data for what G's samples are compared with.
    pub(super) fn compare(&mut self) -> Result<(), TrainError> {
        if !self.job.peers.is_first() {
            return Ok(());
        }
        let position = self.data.position();
        let examples = self.data.examples(SAMPLES);
        let examples = examples.map_err(|error| TrainError::Source { position, error })?;
        let dtype = self.data.dtype();
        self.diversity = Diversity::new(&mut self.probe(), &examples, dtype)?;
        Ok(())
    }

    fn probe(&mut self) -> Probe<'_> {
        let Job { spec, recorded, .. } = *self.job;
        Probe::new(recorded, self.device, spec.seed)
    }

    /// Of G as it is: the first rank looks, and tells the others.
    pub(super) fn diversity(&mut self) -> Result<Option<f64>, TrainError> {
        if self.diverse.0 != Some(self.progress.tick) {
            let peers = self.job.peers;
            let told = peers.first("diversity", || {
                let diversity = self.diversity.take();
                let found = diversity.as_ref().map(|d| d.of(&mut self.probe())).transpose();
                self.diversity = diversity;
                let bytes = found?.map(f64::to_le_bytes);
                Ok::<_, TrainError>(bytes.map(Vec::from).unwrap_or_default())
            })?;
            let found = told[..].try_into().ok().map(f64::from_le_bytes);
            self.diverse = (Some(self.progress.tick), found);
        }
        Ok(self.diverse.1)
    }

    /// Every [`LOOK`] iterations: what has become an alarm.
    pub(super) fn watch(&mut self) -> Result<Vec<Raised>, TrainError> {
        if !self.progress.step.is_multiple_of(LOOK) {
            return Ok(Vec::new());
        }
        self.look()?;
        let Job { spec, recorded, .. } = *self.job;
        let (d, loss_g) = self.means(recorded.watched, LOOK)?;
        let look = Look {
            step: self.progress.step,
            images: self.progress.images,
            loss_d: d[0],
            loss_g,
            logit_fake: spec.objective.is_logistic().then_some(d[4]),
            diversity: self.diversity()?,
        };
        self.empty(recorded.watched)?;
        Ok(self.watch.look(look))
    }

    /// Does what `on_alarm` says; true if the run was sent back.
    pub(super) fn answer(&mut self, raised: &[Raised]) -> Result<bool, TrainError> {
        let Some(first) = raised.iter().min_by_key(|raised| raised.since) else {
            return Ok(false);
        };
        match self.job.spec.on_alarm {
            OnAlarm::Warn => {
                raised.iter().for_each(|raised| self.run.alarm(raised, "the run goes on"));
                Ok(false)
            }
            OnAlarm::Stop => Err(self.end(first, "The run ends here, as `on_alarm: stop` says")?),
            OnAlarm::Rollback if self.progress.rollbacks == MOST => {
                let why = format!("The run went back {MOST} times already and ends");
                Err(self.end(first, &why)?)
            }
            OnAlarm::Rollback => self.roll_back(first).map(|()| true),
        }
    }

    /// Goes back to before the condition began.
    fn roll_back(&mut self, raised: &Raised) -> Result<(), TrainError> {
        let mut good = None;
        if self.job.peers.is_first() {
            good = self.run.checkpoint_before(raised.since).map_err(TrainError::Observer)?;
        }
        if let Some(good) = &mut good {
            // The noise stays the same: with other rates the way is another one all the same.
            good.header.progress.rollbacks = self.progress.rollbacks + 1;
        }
        let Some(to) = self.header_of_first("where the run goes back to", good.as_ref())? else {
            let why = "There is no checkpoint from before that to go back to, so the run ends; a \
                       smaller `every.checkpoint` keeps them";
            return Err(self.end(raised, why)?);
        };
        let (images, rates) = (to.progress.images, slower(to.progress.rollbacks));
        let answer = format!("the run goes back to {images} images, with {rates} of its rates");
        self.run.alarm(raised, &answer);
        if let Some(good) = &good {
            self.run.roll_back(good).map_err(TrainError::Observer)?;
        }
        let position = to.position;
        let sought = self.data.seek(position);
        sought.map_err(|error| TrainError::Source { position, error })?;
        self.history.clear();
        self.shown = None;
        self.resume(&to, good.as_ref())
    }

    /// Keeps the run as it is; the error that ends it.
    fn end(&mut self, raised: &Raised, why: &str) -> Result<TrainError, TrainError> {
        if self.progress.images < self.job.spec.images.0 {
            self.checkpoint()?;
        } else {
            self.finish()?;
        }
        let (raised, why) = (Box::new(raised.clone()), why.to_string());
        Ok(TrainError::Alarm { raised, why, last: self.run.last_checkpoint() })
    }

    /// `[loss, D(x), D(G(z)), V, logit of G(z)]` of D's steps and the loss of G's, in the mean.
    pub(super) fn means(
        &mut self,
        window: Window,
        iterations: u64,
    ) -> Result<(Vec<f64>, f64), TrainError> {
        let tape = &self.job.recorded.tape;
        let d = reals::read(tape, self.device, window.d)?;
        let g = reals::read(tape, self.device, window.g)?;
        let steps = (iterations * self.job.spec.k) as f64;
        Ok((d.into_iter().map(|sum| sum / steps).collect(), g[0] / iterations as f64))
    }

    pub(super) fn empty(&mut self, window: Window) -> Result<(), TrainError> {
        reals::write(self.device, window.d, [0.0; 5].into_iter())?;
        reals::write(self.device, window.g, [0.0].into_iter())?;
        Ok(())
    }
}

/// What is left of the learning rates after so many rollbacks.
pub(crate) fn slower(rollbacks: u64) -> f64 {
    SLOWER.powi(rollbacks as i32)
}
