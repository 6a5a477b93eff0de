//! The memory that is predicted before a device is touched, against what loading takes.

use crate::arguments::Arguments;
use crate::engine::{Engine, alone};
use crate::experiments::{EXAMPLE, Network, PAPER, TOY};
use crate::row::Row;
use crate::stages::{Failed, attempt};
use cuda::{Cuda, Precision};
use serde_json::json;
use tape::Dtype;
use train::Recorded;

const STAGE: &str = "memory";
/// Share by which the prediction may be off.
const OFF: f64 = 0.05;

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let all = match arguments.toy {
        true => vec![(TOY, Precision::Bf16)],
        false => vec![
            (EXAMPLE, Precision::F32),
            (EXAMPLE, Precision::Bf16),
            (PAPER, Precision::F32),
            (PAPER, Precision::Bf16),
        ],
    };
    for (network, precision) in all.into_iter().filter(|(network, _)| arguments.wants(network)) {
        let check = format!("{}, {}", network.name, precision.name());
        attempt(STAGE, &check, || row(&check, &network, precision, arguments.toy));
    }
    Ok(())
}

fn row(check: &str, network: &Network, precision: Precision, toy: bool) -> Result<Row, Failed> {
    let Network { side, channels, .. } = *network;
    let spec = network.experiment();
    let recorded = Recorded::new(&spec, [side, side, channels], Dtype::U8, 1);
    let compiled = recorded.tape.compile(&precision.options());
    let device = Cuda::new(alone(precision))?;
    let predicted = device.needs(&compiled)?;
    let before = device.free()?;
    let engine = Engine::on(network, device, precision)?;
    let taken = before.saturating_sub(engine.device.free()?);
    let off = taken as f64 / predicted as f64 - 1.0;
    let bad = !toy && off.abs() > OFF;
    let reason = bad.then(|| format!("more than {:.0} % off", 100.0 * OFF));
    let figure = format!(
        "{} MiB predicted, {} MiB taken ({:+.1} %)",
        predicted >> 20,
        taken >> 20,
        100.0 * off
    );
    let data = json!({"predicted": predicted, "taken": taken});
    Ok(Row::unless(STAGE, check, reason).figure(figure).data(data))
}
