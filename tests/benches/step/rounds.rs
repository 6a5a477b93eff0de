//! Images a second, engine against engine.

use super::arguments::Arguments;
use super::duel::Duel;
use super::peer::Peer;
use super::{Config, spread};
use serde_json::{Value, json};

/// Something that does training steps.
pub(super) trait Engine {
    /// Who, and in which way.
    fn title(&self) -> [String; 2];
    /// Seconds for so many steps.
    fn steps(&mut self, n: usize) -> f64;
}

/// Runs a configuration round by round, prints its table, and gives our engine back with its rows.
pub(super) fn compare(arguments: &Arguments, config: &Config) -> (Duel, Vec<Value>) {
    let threads = arguments.threads;
    let mut ours = Duel::new(config, threads);
    let mut peers = started(arguments, config);
    let mut engines: Vec<&mut dyn Engine> = vec![&mut ours];
    engines.extend(peers.iter_mut().map(|peer| peer as &mut dyn Engine));
    if engines.len() == 1 {
        eprintln!("the bench runs alone: nothing to compare with");
    }
    // As many steps as fill a round, after a warm-up.
    let counts: Vec<usize> = engines
        .iter_mut()
        .map(|engine| {
            engine.steps(2);
            let once = engine.steps(2) / 2.0;
            ((arguments.seconds / once) as usize).clamp(2, 1000)
        })
        .collect();
    let mut speeds = vec![Vec::new(); engines.len()];
    for round in 0..arguments.rounds {
        for ((engine, speeds), &n) in engines.iter_mut().zip(&mut speeds).zip(&counts) {
            let seconds = engine.steps(n);
            speeds.push((n * config.batch) as f64 / seconds);
        }
        eprintln!("config {}: round {} of {}", config.name, round + 1, arguments.rounds);
    }
    let titles: Vec<[String; 2]> = engines.iter().map(|engine| engine.title()).collect();
    (ours, table(&titles, &speeds, threads))
}

/// The variants that can run here; of each other one a line says why not.
fn started(arguments: &Arguments, config: &Config) -> Vec<Peer> {
    let Some(venv) = &arguments.peer else { return Vec::new() };
    let mut peers = Vec::new();
    for variant in &arguments.variants {
        eprintln!("config {}: PyTorch {variant} warms up", config.name);
        match Peer::start(venv, config.name, variant, arguments.threads) {
            Ok(peer) => peers.push(peer),
            Err(why) => eprintln!("no PyTorch {variant} to compare with: {why}"),
        }
    }
    peers
}

/// Prints a line for each engine. The first is ours; ratios are of rounds that follow each other.
fn table(titles: &[[String; 2]], speeds: &[Vec<f64>], threads: usize) -> Vec<Value> {
    println!("{:8} {:50} {:>8} {:>8} {:>8}   Duel is", "engine", "variant", "img/s", "min", "max");
    let mut rows = Vec::new();
    for ([engine, variant], speeds_of) in titles.iter().zip(speeds) {
        let ratios: Vec<f64> = speeds[0].iter().zip(speeds_of).map(|(a, b)| a / b).collect();
        let [least, median, most] = spread(speeds_of);
        let [low, ratio, high] = spread(&ratios);
        let verdict = match rows.is_empty() {
            true => String::new(),
            false => format!("{ratio:.2} times as fast ({low:.2} to {high:.2})"),
        };
        println!("{engine:8} {variant:50} {median:8.1} {least:8.1} {most:8.1}   {verdict}");
        rows.push(json!({
            "kind": "step",
            "engine": engine,
            "variant": variant,
            "threads": threads,
            "images_per_second": speeds_of,
            "duel_is_faster": ratios,
        }));
    }
    println!();
    rows
}
