//! Training steps against PyTorch's, in one run, round by round in turn; then where ours spends its time.
//!
//! `make bench` starts it. The configurations are those of `tests/peer/peer.py`: the network of the
//! PyTorch example, its schedule (`shared_fakes`), its optimiser. Both sides do whole steps, with
//! the batch handed over each time. The machine's speed drifts, so what counts is the ratio of
//! neighbouring rounds. Everything that is printed becomes rows of `target/bench.json`, each with the
//! `config` and the `kind` of its row: `step`, `threads`, `ceiling`, `operation`, `layer`, `total`.

mod arguments;
mod duel;
mod layers;
mod peer;
mod rounds;
mod threads;

use arguments::Arguments;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// A network of the PyTorch example and its batch.
#[derive(Clone, Copy)]
struct Config {
    name: &'static str,
    side: usize,
    channels: usize,
    width: usize,
    batch: usize,
}

const CONFIGS: [Config; 3] = [
    Config { name: "a", side: 64, channels: 3, width: 64, batch: 128 },
    Config { name: "b", side: 32, channels: 1, width: 64, batch: 64 },
    Config { name: "c", side: 64, channels: 3, width: 128, batch: 32 },
];

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(2);
        }
    };
    let mut rows = Vec::new();
    let mut all_same = true;
    for config in &arguments.configs {
        let Config { name, side, channels, width, batch } = *config;
        let threads = arguments.threads;
        println!(
            "\nconfig {name}: {side}×{side}×{channels}, width {width}, batch {batch}, {threads} threads\n"
        );
        let (mut ours, mut of_config) = rounds::compare(&arguments, config);
        if threads > 1 {
            let compared = threads::compare(&arguments, config);
            all_same &= compared["same_bytes"] == true;
            of_config.push(compared);
        }
        of_config.extend(layers::profile(&arguments, &mut ours));
        rows.extend(of_config.into_iter().map(|row| of(config, row)));
    }
    let out = Path::new(&arguments.out);
    let text = serde_json::to_string_pretty(&rows).expect("rows are JSON");
    fs::create_dir_all(out.parent().expect("a folder")).expect("the folder can be made");
    fs::write(out, text + "\n").expect("the rows can be written");
    println!("{}", out.canonicalize().expect("it was written").display());
    if all_same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A row that knows its configuration.
fn of(config: &Config, mut row: Value) -> Value {
    row["config"] = json!(config.name);
    row
}

/// Least, median and most.
fn spread(of: &[f64]) -> [f64; 3] {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
}
