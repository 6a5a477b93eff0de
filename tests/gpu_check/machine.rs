//! What figures depend on: card, driver, and the PyTorch that is here.

use crate::arguments::Arguments;
use crate::beside::beside;
use crate::child::{self, last_words};
use crate::row::{Outcome, Row};
use crate::stages::Failed;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const STAGE: &str = "machine";
/// Until PyTorch must have said what it is: read for the first time, it takes a while.
const VERSIONS: Duration = Duration::from_secs(90);

/// The time, as everyone writes it.
pub fn now() -> String {
    let told = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    let text = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_string());
    text.unwrap_or_default()
}

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let version = cuda::driver()?;
    let all = cuda::devices()?;
    let card = &all[0];
    let python = versions(arguments);
    let mut data = python.as_ref().cloned().unwrap_or_else(|_| json!({}));
    data["card"] = json!(card.name);
    data["capability"] = json!([card.capability.0, card.capability.1]);
    data["multiprocessors"] = json!(card.multiprocessors);
    data["memory"] = json!(card.memory);
    data["driver"] = json!(driver());
    data["driver_cuda"] = json!(format!("{}.{}", version / 1000, version % 1000 / 10));
    for found in &all {
        let (major, minor) = found.capability;
        let figure = format!(
            "{}, {major}.{minor}, {} multiprocessors, {} MiB",
            found.name,
            found.multiprocessors,
            found.memory >> 20
        );
        let outcome = match found.clone().usable() {
            Ok(_) => Outcome::Pass,
            Err(_) => Outcome::Skipped,
        };
        let check = format!("cuda:{}", found.ordinal);
        Row::new(STAGE, check, outcome).figure(figure).data(data.clone()).say();
    }
    let figure = format!("{}, CUDA {}", driver(), version / 1000);
    Row::pass(STAGE, "driver").figure(figure).say();
    match python {
        Ok(found) if found["device"].is_null() => {
            let why = "it sees no GPU: nothing is compared with it";
            Row::skipped(STAGE, "PyTorch", why).figure(found["torch"].to_string()).say();
        }
        Ok(found) => {
            let of = |key: &str| found[key].to_string().replace('"', "");
            let figure = format!(
                "{}, CUDA {}, cuDNN {}, NCCL {}",
                of("torch"),
                of("cuda"),
                of("cudnn"),
                of("nccl")
            );
            Row::pass(STAGE, "PyTorch").figure(figure).say();
        }
        Err(why) => Row::skipped(STAGE, "PyTorch", why).say(),
    }
    Ok(())
}

/// The driver's own version, as `nvidia-smi` tells it.
fn driver() -> String {
    let words = ["--query-gpu=driver_version", "--format=csv,noheader", "--id=0"];
    let told = Command::new("nvidia-smi").args(words).output();
    let told = told.ok().filter(|told| told.status.success());
    told.map_or("of unknown version".to_string(), |told| {
        String::from_utf8_lossy(&told.stdout).trim().to_string()
    })
}

fn versions(arguments: &Arguments) -> Result<Value, String> {
    let log = arguments.out.join("versions.log");
    let mut command = Command::new(&arguments.python);
    command.arg(beside("peer/gpu_peer.py")).arg("--versions");
    let (said, ended) = child::run(&mut command, &log, VERSIONS)?;
    if ended != child::Ended::Well {
        return Err(format!("none: {}", last_words(&log)));
    }
    serde_json::from_str(said.trim()).map_err(|error| format!("{error}: {said}"))
}
