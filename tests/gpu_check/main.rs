//! Whether Duel works on this machine's GPU, and how fast it is beside the PyTorch found here.
//!
//! It lies in a folder with `duel`, `cuda-tests` and the PyTorch side of the benchmark (`make gpu-bundle`), and
//! needs nothing else but a driver. Each stage is a process of its own with a time limit: one that crashes or
//! hangs is a failed row of the table, and the rest goes on.

mod arguments;
mod beside;
mod child;
mod convolutions;
mod engine;
mod experiments;
mod gaps;
mod machine;
mod memory;
mod modules;
mod parity;
mod peer;
mod record;
mod replays;
mod row;
mod sanitizer;
mod speed;
mod stages;
mod training;

use arguments::Arguments;
use record::Record;
use row::Outcome;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let names: Vec<&str> = stages::ALL.iter().map(|stage| stage.name).collect();
    let arguments = match Arguments::parse(&names) {
        Ok(arguments) => arguments,
        Err(said) if said.starts_with("gpu-check: ") => {
            println!("{said}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => return refuse(&wrong),
    };
    match &arguments.inside {
        Some(stage) => stages::inside(stage, &arguments),
        None => check(&arguments),
    }
}

fn refuse(wrong: &str) -> ExitCode {
    eprintln!("error: {wrong}");
    ExitCode::from(2)
}

/// Starts every stage in turn.
fn check(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    if let Err(none) = cuda::devices() {
        println!("no GPU was checked: {none}");
        return if arguments.allow_none { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut record = match Record::new(arguments, machine::now()) {
        Ok(record) => record,
        Err(wrong) => return refuse(&wrong),
    };
    let asked = |name: &str| arguments.only.as_ref().is_none_or(|o| o.iter().any(|n| n == name));
    // What the figures depend on is asked in any case.
    for stage in stages::ALL.iter().filter(|stage| stage.name == "machine" || asked(stage.name)) {
        let left = arguments.limit - begun.elapsed().as_secs_f64();
        stages::run(stage, arguments, left, &mut record);
        if let Err(wrong) = record.write() {
            return refuse(&wrong);
        }
    }
    let [passed, failed, skipped] =
        [Outcome::Pass, Outcome::Fail, Outcome::Skipped].map(|outcome| record.count(outcome));
    let seconds = begun.elapsed().as_secs_f64();
    let out = arguments.out.display();
    println!(
        "\n{passed} passed, {failed} failed, {skipped} skipped in {seconds:.0} s; {out}/gpu-check.json, .md"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
