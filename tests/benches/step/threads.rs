//! What more threads cost: processor time of a step, and whether its bytes stay the same.

use super::arguments::Arguments;
use super::duel::Duel;
use super::rounds::Engine;
use super::{Config, spread};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Rounds at most: one thread takes its time.
const ROUNDS: usize = 3;

/// Runs the same steps on one thread and on several, in turn, prints a line, and gives its row.
pub(super) fn compare(arguments: &Arguments, config: &Config) -> Value {
    let counts = [1, arguments.threads];
    let mut engines = counts.map(|threads| Duel::new(config, threads));
    let warm = engines.each_mut().map(|engine| {
        engine.steps(2);
        engine.steps(2) / 2.0
    });
    let steps = ((arguments.seconds / warm[1]) as usize).clamp(2, 1000);
    let rounds = arguments.rounds.min(ROUNDS);
    let mut seconds = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for (engine, seconds) in engines.iter_mut().zip(&mut seconds) {
            let before = processor_seconds();
            engine.steps(steps);
            seconds.push((processor_seconds() - before) / steps as f64);
        }
    }
    let ratios: Vec<f64> =
        seconds[1].iter().zip(&seconds[0]).map(|(many, one)| many / one).collect();
    let [low, ratio, high] = spread(&ratios);
    let [one, many] = [0, 1].map(|i| spread(&seconds[i])[1]);
    let [a, b] = engines.each_mut().map(Duel::state);
    let same = a == b;
    let whole = 4 + rounds * steps;
    println!(
        "CPU-seconds of a step: {one:.4} with 1 thread, {many:.4} with {}: {ratio:.3} times ({low:.3} to {high:.3})\n\
         parameters and all other state after {whole} steps: {}\n",
        counts[1],
        if same { "the same bytes for both" } else { "OTHER BYTES" }
    );
    json!({
        "kind": "threads",
        "threads": counts,
        "cpu_seconds_per_step": seconds,
        "ratio": ratios,
        "steps": whole,
        "same_bytes": same,
    })
}

/// Time that all threads of this process have computed.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}
