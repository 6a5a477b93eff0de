//! How much of a replayed step no kernel is at work: 1 − Σ nodes alone / step.

use crate::arguments::Arguments;
use crate::engine::{Engine, alone};
use crate::experiments::{EXAMPLE, Network, PAPER, TOY};
use crate::row::Row;
use crate::stages::{Failed, attempt};
use cuda::Precision;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

const STAGE: &str = "gaps";
/// How often a node is repeated in the graph that times it.
pub const REPEATS: usize = 50;
/// Share of a step that gaps may take.
const MOST: f64 = 0.05;
/// Kinds of operation that are told, the longest first.
const TOLD: usize = 6;

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let all = match arguments.toy {
        true => vec![(TOY, Precision::Bf16)],
        false => vec![
            (EXAMPLE, Precision::Bf16),
            (EXAMPLE, Precision::Tf32),
            (EXAMPLE, Precision::F32),
            (PAPER, Precision::Bf16),
        ],
    };
    for (network, precision) in all.into_iter().filter(|(network, _)| arguments.wants(network)) {
        let check = format!("{}, {}", network.name, precision.name());
        attempt(STAGE, &check, || row(&check, &network, precision, arguments));
    }
    Ok(())
}

fn row(
    check: &str,
    network: &Network,
    precision: Precision,
    arguments: &Arguments,
) -> Result<Row, Failed> {
    let mut engine = Engine::new(network, alone(precision))?;
    let once = engine.steps(4)?.0 / 4.0;
    let n = ((arguments.seconds / once) as usize).clamp(2, 100_000);
    // Without batches from the host: the device is always ahead of nobody.
    let begun = Instant::now();
    for _ in 0..n {
        engine.step()?;
    }
    engine.device.synchronize()?;
    let step = begun.elapsed().as_secs_f64() / n as f64;

    let program = engine.recorded.steps.discriminator;
    let repeats = if arguments.toy { 2 } else { REPEATS };
    let times = engine.device.time_nodes(program, &engine.clock, repeats)?;
    let compiled = engine.recorded.tape.compile(&precision.options());
    let nodes = &compiled.program(program).nodes;
    let mut by_operation: BTreeMap<&str, f64> = BTreeMap::new();
    let mut rows = Vec::new();
    for (node, time) in nodes.iter().zip(&times).filter(|(_, time)| !time.is_zero()) {
        *by_operation.entry(node.op.name()).or_default() += time.as_secs_f64();
        let [operation, at] = [compiled.print_operation(node), node.at.to_string()];
        rows.push(json!({"operation": operation, "at": at, "seconds": time.as_secs_f64()}));
    }
    let busy: f64 = by_operation.values().sum();
    let gaps = 1.0 - busy / step;
    let mut longest: Vec<_> = by_operation.iter().collect();
    longest.sort_by(|a, b| b.1.total_cmp(a.1));
    let told: Vec<String> = (longest.iter().take(TOLD))
        .map(|(name, seconds)| format!("{name} {:.0} %", 100.0 * *seconds / busy))
        .collect();
    let figure = format!(
        "{:.1} % of a step of {:.3} ms; {} nodes, {:.3} ms: {}",
        100.0 * gaps,
        1e3 * step,
        rows.len(),
        1e3 * busy,
        told.join(", ")
    );
    let bad = !arguments.toy && gaps > MOST;
    let reason = bad.then(|| format!("at most {:.0} %", 100.0 * MOST));
    let data = json!({"step": step, "busy": busy, "gaps": gaps, "nodes": rows});
    Ok(Row::unless(STAGE, check, reason).figure(figure).data(data))
}
