//! The same steps in several ways give the same bytes: again, launch by launch instead of as a graph, and
//! with sums that go through NCCL, alone in its world.

use crate::arguments::Arguments;
use crate::engine::{Engine, alone};
use crate::experiments::{EXAMPLE, TOY};
use crate::row::{Outcome, Row};
use crate::stages::{Failed, attempt};
use cuda::{AllReduce, Communicator, Precision, Settings, UniqueId};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const STAGE: &str = "replays";
const STEPS: usize = 5;
/// Of everything that waits for other ranks.
const DEADLINE: Duration = Duration::from_secs(30);

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let network = if arguments.toy { TOY } else { EXAMPLE };
    let state = |settings: Settings| -> Result<Vec<Vec<u8>>, Failed> {
        let mut engine = Engine::new(&network, settings)?;
        engine.steps(STEPS)?;
        engine.state()
    };
    let nccl = cuda::nccl_version();
    match &nccl {
        Ok([major, minor, patch]) => {
            Row::pass(STAGE, "NCCL").figure(format!("{major}.{minor}.{patch}")).say();
        }
        Err(why) => Row::skipped(STAGE, "NCCL", why.to_string()).say(),
    }
    for precision in [Precision::F32, Precision::Bf16] {
        let name = precision.name();
        let mut first = None;
        let check = format!("{STEPS} steps in {name}");
        let outcome = attempt(STAGE, &check, || {
            first = Some(state(alone(precision))?);
            Ok(Row::pass(STAGE, &check))
        });
        let Some(first) = first.filter(|_| outcome == Outcome::Pass) else { continue };
        let same = |check: &str, settings: &dyn Fn() -> Result<Settings, Failed>| {
            let check = format!("{check}, {name}");
            attempt(STAGE, &check, || Ok(compared(&check, &first, &state(settings()?)?)));
        };
        same("a second time", &|| Ok(alone(precision)));
        same("launch by launch", &|| Ok(Settings { capture: false, ..alone(precision) }));
        if nccl.is_err() {
            continue;
        }
        let collective = || -> Result<Settings, Failed> {
            Ok(Settings { collective: Some(communicator()?), ..alone(precision) })
        };
        same("through NCCL", &collective);
        same("through NCCL, launch by launch", &|| {
            Ok(Settings { capture: false, ..collective()? })
        });
    }
    Ok(())
}

fn compared(check: &str, first: &[Vec<u8>], other: &[Vec<u8>]) -> Row {
    let bytes: usize = first.iter().map(Vec::len).sum();
    let apart = first.iter().zip(other).filter(|(a, b)| a != b).count();
    let reason = (apart > 0 || first.len() != other.len())
        .then(|| format!("{apart} of {} tensors have other bytes", first.len()));
    let figure = format!("{bytes} bytes of state");
    Row::unless(STAGE, check, reason).figure(figure).data(json!({"bytes": bytes}))
}

/// A world of one.
fn communicator() -> Result<Arc<dyn AllReduce>, Failed> {
    Ok(Arc::new(Communicator::new(0, 0, 1, &UniqueId::new()?, DEADLINE)?))
}
