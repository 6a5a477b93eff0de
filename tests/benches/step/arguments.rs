//! What the benchmark is asked for.

use super::{CONFIGS, Config};
use std::env;

pub(super) struct Arguments {
    /// Folder of PyTorch's environment.
    pub peer: Option<String>,
    pub configs: Vec<Config>,
    /// Variants of `tests/peer/peer.py`.
    pub variants: Vec<String>,
    pub rounds: usize,
    pub threads: usize,
    /// Of a round.
    pub seconds: f64,
    pub out: String,
}

const VARIANTS: [&str; 4] = [
    "eager",
    "channels_last_fused",
    "channels_last_fused_frozen",
    "channels_last_fused_frozen_compiled",
];

impl Arguments {
    pub fn parse() -> Result<Self, String> {
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.json");
        let mut parsed = Self {
            peer: None,
            configs: CONFIGS.to_vec(),
            variants: VARIANTS.map(str::to_string).to_vec(),
            rounds: 7,
            threads: 2,
            seconds: 3.0,
            out: target.to_string(),
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => {}
                "--peer" => parsed.peer = Some(value()?),
                "--configs" => parsed.configs = configs(&value()?)?,
                "--variants" => {
                    parsed.variants = value()?.split(',').map(str::to_string).collect();
                }
                "--rounds" => parsed.rounds = number(&word, &value()?)?,
                "--threads" => parsed.threads = number(&word, &value()?)?,
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0);
                    parsed.seconds = seconds.ok_or(format!(
                        "--seconds {text}: expected a number of seconds, such as 3"
                    ))?;
                }
                "--out" => parsed.out = value()?,
                other => {
                    return Err(format!(
                        "{other}: expected --peer, --configs, --variants, --rounds, --threads, --seconds or --out"
                    ));
                }
            }
        }
        Ok(parsed)
    }
}

fn configs(text: &str) -> Result<Vec<Config>, String> {
    let find = |name: &str| CONFIGS.into_iter().find(|config| config.name == name);
    let wrong =
        |name: &str| format!("--configs {text}: found `{name}`, expected a, b, c, or several: a,b");
    text.split(',').map(|name| find(name).ok_or_else(|| wrong(name))).collect()
}

fn number(word: &str, text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n > 0);
    number.ok_or(format!("{word} {text}: expected a whole number, 1 or more"))
}
