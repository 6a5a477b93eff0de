//! The numbers that change from run to run of a program.

use crate::game::slower;
use crate::{Experiment, Progress};
use tape::Clock;

/// What a training program is told at this point of a run: `scalars` are the names of
/// [`tape::Tape::scalars`].
///
/// # Panics
/// At a scalar that no rule of the experiment computes.
pub fn clock(spec: &Experiment, scalars: &[String], rank: usize, at: &Progress) -> Clock {
    let scalars = scalars.iter().map(|name| scalar(spec, name, at)).collect();
    Clock { seed: spec.seed, tick: at.tick, rank, scalars, check: false }
}

fn scalar(spec: &Experiment, name: &str, at: &Progress) -> f64 {
    let (player, quantity) = name.split_once('.').unwrap_or((name, ""));
    let value = match (player, quantity) {
        ("generator", "ema") => spec.ema.map(|decay| ramped(decay, at.generator)),
        ("generator", quantity) => spec.optimizer.generator.scalar(quantity, at.generator, at),
        (_, quantity) => spec.optimizer.discriminator.scalar(quantity, at.discriminator, at),
    };
    let value = value.map(|value| match quantity {
        "rate" => value * slower(at.rollbacks),
        _ => value,
    });
    value.expect("every scalar was recorded by the rule that computes it")
}

/// The average follows fast at first: min(decay, (1 + t) / (10 + t)) at update t.
fn ramped(decay: f64, updates: u64) -> f64 {
    let t = updates as f64;
    decay.min((1.0 + t) / (10.0 + t))
}
