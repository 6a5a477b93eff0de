//! What `gpu-check` is asked for.

use crate::experiments::Network;
use crate::speed::VARIANTS;
use std::env;
use std::path::PathBuf;

const HELP: &str = "\
gpu-check: whether Duel works on this machine's GPU, and how fast it is beside PyTorch

  --out DIR        where gpu-check.json, gpu-check.md and logs go; gpu-check-out unless given
  --only A,B       these stages alone
  --networks A,B   of example and paper, these alone
  --variants A,B   of PyTorch's steps (gpu_peer.py), these alone
  --seconds S      of a round of the benchmark; 1 unless given
  --rounds N       of the benchmark; 5 unless given
  --limit S        of everything; 560 unless given. Stages for which no time is left are skipped
  --python PATH    a Python that finds PyTorch; python3 unless given
  --allow-none     exit 0 where there is no GPU
  --toy            small shapes and few rounds, no figure to be met: a check of this program itself

stages: ";

/// Parsed.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub out: PathBuf,
    pub only: Option<Vec<String>>,
    pub networks: Vec<String>,
    /// Of PyTorch's steps, those that are raced against.
    pub variants: Vec<String>,
    /// Of a round.
    pub seconds: f64,
    pub rounds: usize,
    /// Seconds for everything.
    pub limit: f64,
    pub python: String,
    pub allow_none: bool,
    pub toy: bool,
    /// The stage that this process is; without, it starts them.
    pub inside: Option<String>,
}

impl Arguments {
    /// The command line, or what is wrong with it; help where that is asked for.
    pub fn parse(stages: &[&str]) -> Result<Self, String> {
        let mut parsed = Self {
            out: PathBuf::from("gpu-check-out"),
            only: None,
            networks: ["example", "paper", "toy"].map(str::to_string).to_vec(),
            variants: VARIANTS.map(str::to_string).to_vec(),
            seconds: 1.0,
            rounds: 5,
            limit: 560.0,
            python: "python3".to_string(),
            allow_none: false,
            toy: false,
            inside: None,
        };
        let known = |name: &str| match stages.contains(&name) {
            true => Ok(name.to_string()),
            false => Err(format!("no stage `{name}`; there are {}", stages.join(", "))),
        };
        let variant = |name: &str| match VARIANTS.contains(&name) {
            true => Ok(name.to_string()),
            false => Err(format!("no variant `{name}`; there are {}", VARIANTS.join(", "))),
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--help" => return Err(format!("{HELP}{}", stages.join(", "))),
                "--out" => parsed.out = value()?.into(),
                "--only" => {
                    parsed.only = Some(value()?.split(',').map(known).collect::<Result<_, _>>()?);
                }
                "--networks" => parsed.networks = value()?.split(',').map(str::to_string).collect(),
                "--variants" => {
                    parsed.variants = value()?.split(',').map(variant).collect::<Result<_, _>>()?
                }
                "--seconds" => parsed.seconds = seconds(&word, &value()?)?,
                "--limit" => parsed.limit = seconds(&word, &value()?)?,
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|&n: &usize| n > 0);
                    parsed.rounds = rounds.ok_or(format!("--rounds {text}: expected 1 or more"))?;
                }
                "--python" => parsed.python = value()?,
                "--allow-none" => parsed.allow_none = true,
                "--toy" => parsed.toy = true,
                "--inside" => parsed.inside = Some(known(&value()?)?),
                other => return Err(format!("{other}: not understood; --help lists what is")),
            }
        }
        if parsed.toy {
            (parsed.seconds, parsed.rounds) = (0.05, 2);
        }
        Ok(parsed)
    }

    /// Whether a network is to be looked at.
    pub fn wants(&self, network: &Network) -> bool {
        self.networks.iter().any(|name| name == network.name)
    }

    /// Words that a stage is started with.
    pub fn words(&self, stage: &str) -> Vec<String> {
        let out = self.out.display().to_string();
        let (seconds, rounds) = (self.seconds.to_string(), self.rounds.to_string());
        let (networks, variants) = (self.networks.join(","), self.variants.join(","));
        let mut words = vec!["--inside", stage, "--out", &out, "--seconds", &seconds];
        words.extend(["--rounds", &rounds, "--python", &self.python, "--networks", &networks]);
        words.extend(["--variants", &variants]);
        words.extend(self.toy.then_some("--toy"));
        words.into_iter().map(str::to_string).collect()
    }
}

fn seconds(word: &str, text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| s.is_finite() && *s > 0.0);
    seconds.ok_or(format!("{word} {text}: expected a number of seconds, such as 3"))
}
