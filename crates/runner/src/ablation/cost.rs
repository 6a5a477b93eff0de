//! What an ablation costs, before it runs.

use super::asked::{Ablation, Variant, within};
use super::run::Run;
use crate::cli::Globals;
use crate::command::Failure;
use crate::progress::count;
use crate::session::{Need, Session};
use crate::target::Purpose;
use crate::yaml;
use std::collections::BTreeMap;
use tape::amount;

/// The cost of a run of one variant; equal for all its seeds.
pub(crate) struct Cost {
    /// Real images that it is shown.
    pub images: u64,
    /// Iterations, and real images of each.
    iterations: u64,
    per_iteration: u64,
    /// Of an iteration.
    flops: u64,
    /// Bytes moved, of an iteration.
    moved: u64,
    /// Bytes at its largest.
    memory: u64,
}

impl Cost {
    /// Of a variant whose data is there, or whose recipe is.
    pub fn of(
        ablation: &Ablation,
        variant: &Variant,
        globals: &Globals,
        threads: usize,
        need: Need,
    ) -> Result<Self, Failure> {
        let fail = |error: Failure| within(&ablation.file, &variant.name, error);
        let session = Session::open(&variant.layered, globals, need, Purpose::Begin);
        let session = session.map_err(fail)?;
        let recorded = session.record();
        let compiled = session.compile(&recorded);
        session.check_memory(&compiled).map_err(fail)?;
        let real = session.target.real_bytes();
        let (mut flops, mut moved) = (0, 0);
        let discriminator = (recorded.steps.discriminator, session.spec.k);
        let generator = recorded.steps.generator.map(|program| (program, 1));
        for (program, times) in [discriminator].into_iter().chain(generator) {
            let nodes = &compiled.program(program).nodes;
            flops += times * nodes.iter().map(|node| compiled.flops(node)).sum::<u64>();
            moved += times * nodes.iter().map(|node| compiled.traffic(node)).sum::<u64>();
        }
        let working = session.target.working_bytes(&compiled, threads)?;
        let memory = compiled.plan.total_bytes(real) + working;
        let (images, per_iteration) = (session.spec.images.0, session.spec.images_per_iteration());
        Ok(Self {
            images,
            iterations: images.div_ceil(per_iteration),
            per_iteration,
            flops,
            moved: moved * real as u64,
            memory: memory as u64,
        })
    }

    /// FLOPs of a run.
    pub fn flops(&self) -> f64 {
        self.flops as f64 * self.iterations as f64
    }

    fn moved(&self) -> f64 {
        self.moved as f64 * self.iterations as f64
    }
}

/// The costs of variants by their names.
pub(crate) type Costs<'a> = BTreeMap<&'a str, Cost>;

/// The cost of every variant that is wanted, and of all `runs` of them.
pub(crate) fn told(ablation: &Ablation, costs: &Costs, runs: &[Run], jobs: usize) -> String {
    let seeds: Vec<String> = ablation.seeds.iter().map(u64::to_string).collect();
    let mut lines = vec![format!("{}: seeds {}", ablation.name, seeds.join(", "))];
    let (mut flops, mut moved, mut images, mut peak) = (0.0, 0.0, 0, 0);
    for variant in &ablation.variants {
        let Some(cost) = costs.get(variant.name.as_str()) else { continue };
        let times = ablation.seeds.len() as u64;
        lines.push(variant.told(cost));
        flops += cost.flops() * times as f64;
        moved += cost.moved() * times as f64;
        images += cost.images * times;
        peak = peak.max(cost.memory);
    }
    lines.push(format!(
        "in all: {}, {} images, {}FLOP, {}B moved, at most {}B of memory at once",
        some_runs(runs.len()),
        count(images as f64),
        amount(flops as u64),
        amount(moved as u64),
        amount(peak * jobs as u64),
    ));
    if let Some((hours, measured)) = hours(runs, costs) {
        lines.push(format!(
            "{hours:.1} hours one after the other, at the speed of {} that are finished",
            some_runs(measured)
        ));
    }
    lines.join("\n")
}

fn some_runs(n: usize) -> String {
    if n == 1 { "1 run".to_owned() } else { format!("{n} runs") }
}

/// Hours of all runs, from those that are finished, and how many these are. A run that is not
/// finished is taken to go through as many FLOPs a second as those do.
fn hours(runs: &[Run], costs: &Costs) -> Option<(f64, usize)> {
    let (mut seconds, mut flops, mut measured) = (0.0, 0.0, 0);
    let mut rest = 0.0;
    for run in runs {
        let cost = &costs[run.variant.name.as_str()];
        match run.images_per_second() {
            Some(speed) if speed > 0.0 => {
                seconds += cost.images as f64 / speed;
                flops += cost.flops();
                measured += 1;
            }
            _ => rest += cost.flops(),
        }
    }
    (measured > 0).then(|| (seconds * (1.0 + rest / flops) / 3600.0, measured))
}

impl Variant {
    fn told(&self, cost: &Cost) -> String {
        let overrides: Vec<String> =
            self.overrides.iter().map(|(key, to)| format!("{key}: {}", yaml::inline(to))).collect();
        let overrides = match overrides.is_empty() {
            true => "nothing changed".to_owned(),
            false => overrides.join(", "),
        };
        format!(
            "{}: {overrides}\n  {} images in {} iterations of {}; each {}FLOP and {}B moved, \
             a run {}FLOP and {}B; peak memory {}B",
            self.name,
            count(cost.images as f64),
            cost.iterations,
            cost.per_iteration,
            amount(cost.flops),
            amount(cost.moved),
            amount(cost.flops() as u64),
            amount(cost.moved() as u64),
            amount(cost.memory),
        )
    }
}
