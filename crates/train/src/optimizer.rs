//! How parameters follow their gradients.

use crate::Count;
use crate::Progress;
use model::Problem;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use tape::{Init, Network, T, Tape};

/// An update rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
    /// Adam, Kingma & Ba 2014.
    Adam(Adam),
}

/// Stochastic gradient descent with momentum, in the form of the 2014 code:
/// `v ← momentum · v − rate · g`, `p ← p + v`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate of the first update.
    pub rate: f64,
    /// Momentum.
    pub momentum: Momentum,
    /// The rate is divided by this after every update.
    pub decay: f64,
    /// The rate falls no lower.
    pub floor: f64,
}

/// Adam (Kingma & Ba 2014, Algorithm 1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate of the first update.
    pub rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// L2 decay, added to the gradient.
    pub l2: f64,
    /// The rate is divided by this after every update.
    pub decay: f64,
    /// The rate falls no lower.
    pub floor: f64,
}

/// Momentum: one number, or a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Momentum {
    /// The same throughout.
    Fixed(f64),
    /// Linear in the images shown.
    Ramp(Ramp),
}

/// From one number to another, linearly, while so many images are shown; then it stays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// At the start.
    pub from: f64,
    /// At the end.
    pub to: f64,
    /// Length of the way, in real images shown.
    pub over: Count,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { rate: 0.1, momentum: Momentum::Fixed(0.5), decay: 1.0, floor: 0.0 }
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self { rate: 2e-4, beta1: 0.5, beta2: 0.999, eps: 1e-8, l2: 0.0, decay: 1.0, floor: 0.0 }
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl Optimizer {
    /// Ends a step: the gradient of `loss` in the parameters of `network`, summed over ranks, and the
    /// update, which is done only if the gradient and `report` are finite.
    pub(crate) fn descend(&self, t: &Tape, network: Network, loss: T, report: T) {
        let gradient = t.flat_gradient(network, loss);
        t.commit(&[gradient, report]);
        self.update(t, network, gradient);
    }

    /// The update alone, of a step that was committed.
    pub(crate) fn update(&self, t: &Tape, network: Network, gradient: T) {
        let player = t.network_name(network);
        let scalar = |name: &str| t.scalar(&format!("{player}.{name}"));
        let p = t.flat(network);
        let state = |name: &str| {
            let name = format!("optimizer.{player}.{name}");
            t.state(&name, t.shape(p), Init::Constant(0.0))
        };
        match self {
            Self::Sgd(_) => {
                let (rate, momentum) = (scalar("rate"), scalar("momentum"));
                t.sgd(p, state("velocity"), gradient, rate, momentum);
            }
            Self::Adam(adam) => {
                let moments = [state("moment1"), state("moment2")];
                let corrections = [scalar("correction1"), scalar("correction2")];
                let constants = [adam.beta1, adam.beta2, adam.eps, adam.l2];
                t.adam(p, moments, gradient, scalar("rate"), constants, corrections);
            }
        }
    }

    /// The value of a scalar for the update that follows `updates` others, or nothing if this rule
    /// has none of that name.
    pub(crate) fn scalar(&self, name: &str, updates: u64, progress: &Progress) -> Option<f64> {
        let decayed = |rate: f64, decay: f64, floor: f64| {
            let rate = rate / decay.powf(updates as f64);
            rate.max(floor)
        };
        Some(match (self, name) {
            (Self::Sgd(sgd), "rate") => decayed(sgd.rate, sgd.decay, sgd.floor),
            (Self::Sgd(sgd), "momentum") => sgd.momentum.at(progress.images),
            (Self::Adam(adam), "rate") => decayed(adam.rate, adam.decay, adam.floor),
            // 1 − βᵗ, with t = 1 at the first update.
            (Self::Adam(adam), "correction1") => 1.0 - adam.beta1.powf(updates as f64 + 1.0),
            (Self::Adam(adam), "correction2") => 1.0 - adam.beta2.powf(updates as f64 + 1.0),
            _ => return None,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        match self {
            Self::Sgd(sgd) => sgd.check().map_err(|p| p.under("sgd")),
            Self::Adam(adam) => adam.check().map_err(|p| p.under("adam")),
        }
    }
}

impl Momentum {
    /// The momentum once so many images were shown.
    fn at(self, images: u64) -> f64 {
        match self {
            Self::Fixed(momentum) => momentum,
            Self::Ramp(Ramp { from, to, over }) => {
                let way = (images as f64 / over.0 as f64).min(1.0);
                from + way * (to - from)
            }
        }
    }

    fn check(self) -> Result<(), Problem> {
        let fraction = |key: &str, x: f64| {
            let fine = (0.0..1.0).contains(&x);
            Problem::unless(fine, key, x, "0 or more, below 1", "change it")
        };
        match self {
            Self::Fixed(momentum) => fraction("momentum", momentum),
            Self::Ramp(ramp) => {
                fraction("momentum.from", ramp.from)?;
                fraction("momentum.to", ramp.to)?;
                let over = ramp.over;
                let fix = "write one number for a momentum that stays";
                Problem::unless(over.0 > 0, "momentum.over", over, "1 image or more", fix)
            }
        }
    }
}

fn check_rate(rate: f64, decay: f64, floor: f64) -> Result<(), Problem> {
    let fine = rate.is_finite() && rate > 0.0;
    Problem::unless(fine, "rate", rate, "a number above 0", "change it")?;
    let fine = decay.is_finite() && decay >= 1.0;
    let fix = "the rate is divided by it after every update; 1 keeps it";
    Problem::unless(fine, "decay", decay, "1 or more", fix)?;
    let fine = (0.0..=rate).contains(&floor);
    let expected = format!("0 to {rate}, the rate");
    Problem::unless(fine, "floor", floor, expected, "lower it")
}

impl Sgd {
    fn check(&self) -> Result<(), Problem> {
        check_rate(self.rate, self.decay, self.floor)?;
        self.momentum.check()
    }
}

impl Adam {
    fn check(&self) -> Result<(), Problem> {
        check_rate(self.rate, self.decay, self.floor)?;
        for (key, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            let fine = (0.0..1.0).contains(&beta);
            Problem::unless(fine, key, beta, "0 or more, below 1", "change it")?;
        }
        let fine = self.eps.is_finite() && self.eps > 0.0;
        let fix = "Kingma & Ba 2014 use 1e-8";
        Problem::unless(fine, "eps", self.eps, "a number above 0", fix)?;
        let fine = self.l2.is_finite() && self.l2 >= 0.0;
        Problem::unless(fine, "l2", self.l2, "0 or more", "0 switches it off")
    }
}

impl<'de> Deserialize<'de> for Momentum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Momentum;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a ramp {from, to, over}")
            }

            fn visit_f64<E: de::Error>(self, x: f64) -> Result<Momentum, E> {
                Ok(Momentum::Fixed(x))
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Momentum, E> {
                Ok(Momentum::Fixed(n as f64))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Momentum, E> {
                Ok(Momentum::Fixed(n as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Momentum, A::Error> {
                Ramp::deserialize(MapAccessDeserializer::new(map)).map(Momentum::Ramp)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests;
