//! Alarms: what goes wrong in a game of two networks, seen from its figures.
//!
//! Every [`LOOK`] iterations, whatever `every.report` says, the [`Watch`] is given the figures of the
//! iterations since and of G's samples as they are. An alarm is raised once its condition has held at
//! every look for [`LASTS`] iterations; it is in force until a look finds the condition clearly gone,
//! and only then it can be raised again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Iterations between two looks.
pub const LOOK: u64 = 100;

/// Iterations for which a condition must hold, so that a failure is told within 2,000. Healthy games
/// begin badly: in `gan_mnist` the mean logit on fakes is about -5 from iteration 900 to 1,300.
pub const LASTS: u64 = 1500;

/// The looks of [`LASTS`] iterations.
const LOOKS: usize = (LASTS / LOOK) as usize;

/// D wins where its mean logit on fakes is below this: D(G(z)) is below 1/150 then, and G learns
/// next to nothing from minimax and little from the non-saturating loss.
const SURE: f64 = -5.0;

/// D no longer wins above this.
const UNSURE: f64 = -4.0;

/// G has collapsed where its diversity is below this part of the data's and was twice as large before;
/// a G that is slow to begin (in `gan_mnist` at 0.03 to 0.07 for 800 iterations) was not.
const FEW: f64 = 0.2;

/// Below this part of the data's it has collapsed whatever its past.
const ONE: f64 = 0.01;

/// It is back where its diversity is so much larger.
const BACK: f64 = 1.5;

/// Figures that differ by less than this part of their size have not moved. Means over [`LOOK`]
/// iterations of a game at rest differ by some 1e-3 between batches, and the diversity by 1e-4 or more
/// even where G is slow to begin (`gan_mnist`) or its rates are at their lowest (`gan_gaussian`).
const STILL: f64 = 1e-5;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// D is sure of every fake, so that G has nothing to go by. Only in games whose logits are those
    /// of probabilities.
    DWins,
    /// G makes one picture, or a handful of them.
    GCollapses,
    /// Neither the losses nor G's samples move.
    LossStuck,
}

/// What an alarm makes a run do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAlarm {
    /// Tell, and go on.
    #[default]
    Warn,
    /// Write a checkpoint and end with an error.
    Stop,
    /// Go back to the newest checkpoint from before the condition began, with half the learning rates.
    Rollback,
}

/// Figures of the iterations since the look before, and of G now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Iterations so far.
    pub step: u64,
    /// Real images shown so far.
    pub images: u64,
    /// Mean of D's loss.
    pub loss_d: f64,
    /// Mean of G's loss.
    pub loss_g: f64,
    /// Mean of D's logits on fakes, in games where it is that of a probability.
    pub logit_fake: Option<f64>,
    /// Diversity of G's samples as a ratio to the data's.
    pub diversity: Option<f64>,
}

/// An alarm at the moment when it is raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// Which.
    pub alarm: Alarm,
    /// Images shown before its condition began.
    pub since: u64,
    /// The look at which it is raised.
    pub at: Look,
    /// The diversity below which G has collapsed.
    pub limit: f64,
}

/// How long a condition has held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Condition {
    looks: usize,
    /// Images shown before it began.
    since: u64,
    raised: bool,
}

/// What one look says of a condition.
enum Sign {
    Holds,
    /// It does not hold, but is not clearly gone.
    Neither,
    Gone,
}

/// What has been seen of a run. A checkpoint keeps it, so that a resumed run raises the same alarms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    last: Option<Look>,
    /// The largest diversity so far.
    best: f64,
    d_wins: Condition,
    g_collapses: Condition,
    loss_stuck: Condition,
}

impl Watch {
    /// Of a run that begins with a G of this diversity.
    pub fn new(diversity: Option<f64>) -> Self {
        Self { best: diversity.unwrap_or(0.0), ..Self::default() }
    }

    /// Takes a look, and tells what is raised by it.
    pub fn look(&mut self, look: Look) -> Vec<Raised> {
        let since = self.last.map_or(0, |last| last.images);
        let signs = [self.d_wins(&look), self.g_collapses(&look), self.loss_stuck(&look)];
        let limit = self.collapsed();
        self.best = self.best.max(look.diversity.unwrap_or(0.0));
        self.last = Some(look);
        let mut raised = Vec::new();
        for ((alarm, condition), sign) in self.conditions().into_iter().zip(signs) {
            if condition.take(sign, since) {
                raised.push(Raised { alarm, since: condition.since, at: look, limit });
            }
        }
        raised
    }

    /// What is in force.
    pub fn alarms(&mut self) -> Vec<Alarm> {
        let raised = self.conditions().into_iter().filter(|(_, condition)| condition.raised);
        raised.map(|(alarm, _)| alarm).collect()
    }

    fn conditions(&mut self) -> [(Alarm, &mut Condition); 3] {
        [
            (Alarm::DWins, &mut self.d_wins),
            (Alarm::GCollapses, &mut self.g_collapses),
            (Alarm::LossStuck, &mut self.loss_stuck),
        ]
    }

    fn d_wins(&self, look: &Look) -> Sign {
        match look.logit_fake {
            Some(logit) if logit < SURE => Sign::Holds,
            Some(logit) if logit < UNSURE => Sign::Neither,
            _ => Sign::Gone,
        }
    }

    fn g_collapses(&self, look: &Look) -> Sign {
        let limit = self.collapsed();
        match look.diversity {
            Some(diversity) if diversity < limit => Sign::Holds,
            Some(diversity) if diversity < BACK * limit => Sign::Neither,
            _ => Sign::Gone,
        }
    }

    /// The diversity below which G has collapsed.
    fn collapsed(&self) -> f64 {
        if self.best > 2.0 * FEW { FEW } else { ONE }
    }

    fn loss_stuck(&self, look: &Look) -> Sign {
        let Some(last) = self.last else { return Sign::Gone };
        let still = |before: f64, now: f64| (now - before).abs() <= STILL * now.abs();
        let losses = still(last.loss_d, look.loss_d) && still(last.loss_g, look.loss_g);
        // At 0 it says nothing: G's one picture may wander.
        let samples = last.diversity.zip(look.diversity);
        let samples = samples.is_some_and(|(before, now)| now > 0.0 && still(before, now));
        if losses || samples { Sign::Holds } else { Sign::Gone }
    }
}

impl Condition {
    /// Counts a look, which began when `since` images had been shown; true if it raises the alarm.
    fn take(&mut self, sign: Sign, since: u64) -> bool {
        match sign {
            Sign::Holds if self.looks == 0 => *self = Self { looks: 1, since, ..*self },
            Sign::Holds => self.looks = (self.looks + 1).min(LOOKS),
            Sign::Neither => self.looks = 0,
            Sign::Gone => *self = Self::default(),
        }
        let raises = self.looks == LOOKS && !self.raised;
        self.raised |= raises;
        raises
    }
}

impl Alarm {
    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::DWins => "d_wins",
            Self::GCollapses => "g_collapses",
            Self::LossStuck => "loss_stuck",
        }
    }

    /// What to try.
    pub fn advice(self) -> &'static str {
        match self {
            Self::DWins => {
                "Try a lower rate for D or a higher one for G, `objective: non_saturating` in place \
                 of minimax, or a smaller D"
            }
            Self::GCollapses => {
                "Try a lower rate for G, batch norm in both networks, or more steps of D (`k`)"
            }
            Self::LossStuck => {
                "Look at the learning rates, which may be next to 0, and at the weights' first \
                 values: a network of ReLUs may be dead"
            }
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alarm, since, at, limit } = self;
        let Look { step, images, loss_d, loss_g, .. } = at;
        write!(f, "{alarm} after {images} images (step {step}): ")?;
        match (alarm, at.logit_fake, at.diversity) {
            (Alarm::DWins, Some(logit), _) => {
                write!(f, "D's mean logit on fakes is {logit:.2}, below {SURE}")?;
            }
            (Alarm::GCollapses, _, Some(diversity)) => {
                let [part, limit] = [diversity, *limit].map(|x| 100.0 * x);
                write!(f, "G is {part:.1} % as diverse as the data, below {limit:.0} %")?;
            }
            _ => write!(
                f,
                "D's loss of {loss_d:.4} and G's of {loss_g:.4}, or G's samples, do not move"
            )?,
        }
        write!(f, "; it has been so since {since} images")
    }
}

#[cfg(test)]
mod tests;
