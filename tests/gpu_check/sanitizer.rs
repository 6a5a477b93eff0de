//! NVIDIA's compute-sanitizer, where it is there, over a short training and some parity tests.

use crate::arguments::Arguments;
use crate::child::{self, Ended};
use crate::parity::tests;
use crate::row::Row;
use crate::stages::{Failed, attempt, duel};
use crate::training::{experiment, train_words};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const STAGE: &str = "sanitizer";
/// Of one command: everything is slower by a factor of tens.
const LIMIT: Duration = Duration::from_secs(45);
/// Status by which it tells that it found something.
const FOUND: i32 = 99;
/// Tests of kernels that share memory between threads.
const FAMILIES: [&str; 4] = ["conv::", "matmul::", "reduce::", "batch_norm::"];

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let Some(sanitizer) = sanitizer() else {
        Row::skipped(STAGE, "compute-sanitizer", "it is not here").say();
        return Ok(());
    };
    let file = experiment(arguments)?;
    for tool in ["memcheck", "racecheck"] {
        let check = format!("{tool}, duel train, 2 steps");
        let mut command = duel(arguments);
        let run = arguments.out.join("runs").join(tool);
        let sets = ["batch=8", "images=16", "model.dcgan.width=8", "device=cuda", "precision=bf16"];
        train_words(&mut command, &file, &run, &sets);
        row(arguments, &sanitizer, tool, &check, &command);
    }
    for tool in ["memcheck", "racecheck"] {
        for family in FAMILIES {
            let check = format!("{tool}, parity {}", family.trim_end_matches(':'));
            let command = tests(&[family, "--test-threads", "1"]);
            row(arguments, &sanitizer, tool, &check, &command);
        }
    }
    Ok(())
}

/// The program, on the path or where CUDA puts it.
fn sanitizer() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/cuda/bin", "/opt/cuda/bin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(usual);
    folders.map(|folder| folder.join("compute-sanitizer")).find(|file| file.is_file())
}

fn row(arguments: &Arguments, sanitizer: &Path, tool: &str, check: &str, of: &Command) {
    attempt(STAGE, check, || {
        let log = arguments.out.join(format!("{STAGE}-{}.log", check.replace([' ', ','], "-")));
        let mut command = Command::new(sanitizer);
        command.args(["--tool", tool, "--error-exitcode", &FOUND.to_string()]);
        command.arg(of.get_program()).args(of.get_args());
        for (key, value) in of.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        let (said, ended) = child::run(&mut command, &log, LIMIT)?;
        std::fs::write(log.with_extension("out"), &said)?;
        Ok(outcome(check, &said, ended, &log))
    });
}

fn outcome(check: &str, said: &str, ended: Ended, log: &Path) -> Row {
    let own = said.lines().filter_map(|line| line.strip_prefix("========= "));
    let own: Vec<&str> = own.map(str::trim).filter(|line| !line.is_empty()).collect();
    let summary = own.iter().rfind(|line| line.contains("SUMMARY")).copied();
    let summary = summary.unwrap_or("no summary").to_string();
    let unable = ["not supported", "Unable to", "unavailable"];
    let refused = own.iter().find(|line| unable.iter().any(|word| line.contains(word)));
    let row = match ended {
        Ended::Late => Row::skipped(STAGE, check, format!("not done in {} s", LIMIT.as_secs())),
        Ended::Well => Row::pass(STAGE, check),
        Ended::Badly(_) if refused.is_some() => {
            return Row::skipped(STAGE, check, refused.copied().unwrap_or_default());
        }
        Ended::Badly(Some(FOUND)) => {
            let first = own.iter().find(|line| !line.contains("COMPUTE-SANITIZER"));
            Row::fail(STAGE, check, first.copied().unwrap_or("it found something"))
        }
        Ended::Badly(_) => Row::fail(STAGE, check, ended.wrong(log).unwrap_or_default()),
    };
    row.data(json!({"summary": summary})).figure(summary)
}
