//! The stages, each a process of its own.

use crate::arguments::Arguments;
use crate::beside::beside;
use crate::record::Record;
use crate::row::{Outcome, Row};
use crate::training;
use crate::{
    child, convolutions, gaps, machine, memory, modules, parity, replays, sanitizer, speed,
};
use std::env;
use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Why a stage stopped.
pub type Failed = Box<dyn Error>;

/// A stage.
pub struct Stage {
    pub name: &'static str,
    /// Seconds that it may take.
    limit: f64,
    run: fn(&Arguments) -> Result<(), Failed>,
}

/// All of them, in the order in which they are run: what others depend on first, what takes long and says
/// least last.
pub const ALL: [Stage; 11] = [
    Stage { name: "machine", limit: 100.0, run: machine::stage },
    Stage { name: "modules", limit: 90.0, run: modules::stage },
    Stage { name: "parity", limit: 180.0, run: parity::stage },
    Stage { name: "training", limit: 90.0, run: training::stage },
    Stage { name: "resume", limit: 60.0, run: training::resume },
    Stage { name: "replays", limit: 60.0, run: replays::stage },
    Stage { name: "memory", limit: 60.0, run: memory::stage },
    Stage { name: "speed", limit: 330.0, run: speed::stage },
    Stage { name: "gaps", limit: 60.0, run: gaps::stage },
    Stage { name: "convolutions", limit: 120.0, run: convolutions::stage },
    Stage { name: "sanitizer", limit: 150.0, run: sanitizer::stage },
];

/// Less time than this is no time for a stage.
const LEAST: f64 = 3.0;

/// Runs a stage and takes its rows as they come.
pub fn run(stage: &Stage, arguments: &Arguments, left: f64, record: &mut Record) {
    let name = stage.name;
    // Stages that were asked for by name share all the time there is.
    let limit = if arguments.only.is_some() { left } else { stage.limit.min(left) };
    if limit < LEAST {
        let why = format!("no time was left; `--only {name}` runs it alone");
        record.add(Row::skipped(name, "all of it", why));
        return;
    }
    let log = arguments.out.join(format!("{name}.log"));
    let mut command = Command::new(env::current_exe().expect("we are some file"));
    command.args(arguments.words(name)).stdin(Stdio::null());
    // A machine for PyTorch often has no other NCCL.
    if let (None, Some(nccl)) = (env::var_os("DUEL_NCCL"), record.nccl()) {
        command.env("DUEL_NCCL", nccl);
    }
    // What the driver's compiler made before would hide how long it takes.
    command.env("CUDA_CACHE_DISABLE", if name == "modules" { "1" } else { "0" });
    let mut watched = match child::start(&mut command, &log, Duration::from_secs_f64(limit), true) {
        Ok(watched) => watched,
        Err(why) => return record.add(Row::fail(name, "starts", why)),
    };
    while let Some(line) = watched.line() {
        if let Some(row) = Row::parse(&line) {
            record.add(row);
        }
    }
    if let Some(why) = watched.end().wrong(&log) {
        record.add(Row::fail(name, "runs to its end", why));
    }
}

/// What the process of a stage does.
pub fn inside(name: &str, arguments: &Arguments) -> ExitCode {
    let stage = ALL.iter().find(|stage| stage.name == name).expect("arguments were checked");
    match (stage.run)(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says a row for each thing that failed by itself, so that the rest of a stage goes on.
pub fn attempt(stage: &str, check: &str, body: impl FnOnce() -> Result<Row, Failed>) -> Outcome {
    let row = body().unwrap_or_else(|error| Row::fail(stage, check, error.to_string()));
    row.say();
    row.outcome
}

/// `duel`, with the data sets of these checks.
pub fn duel(arguments: &Arguments) -> Command {
    let mut command = Command::new(beside("duel"));
    command.env("DUEL_DATA", arguments.out.join("datasets"));
    command
}
