//! Where our step spends its time, against what the machine reached just before and after.

use super::arguments::Arguments;
use super::duel::Duel;
use super::rounds::Engine;
use runner::profile::{Profile, measure};
use serde_json::Value;

/// Prints the tables of `duel profile`, and gives their rows.
pub(super) fn profile(arguments: &Arguments, duel: &mut Duel) -> Vec<Value> {
    let pool = cpu::pool(arguments.threads).expect("threads");
    let before = cpu::speed(&pool, 4);
    let iterations = ((arguments.seconds / duel.steps(1)) as u64).clamp(3, 1000);
    let Duel { spec, recorded, device, .. } = duel;
    let times =
        measure(spec, recorded, &mut **device, &tape::Options::default(), iterations, |_, _| {});
    let times = times.expect("the steps run");
    let profile = Profile::new(&times, before.max(cpu::speed(&pool, 4)), 4);
    println!("{profile}\n");
    profile.rows()
}
