//! Images a second of whole steps, ours against PyTorch's, round by round in turn.

use crate::arguments::Arguments;
use crate::engine::{Engine, alone};
use crate::experiments::{EXAMPLE, Network, PAPER, TOY};
use crate::peer::Peer;
use crate::row::Row;
use crate::stages::Failed;
use cuda::Precision;
use serde_json::json;

const STAGE: &str = "speed";
/// Variants of `gpu_peer.py`.
pub const VARIANTS: [&str; 4] = ["eager", "eager_tf32", "compiled", "graphed"];
/// On which network, and how many times as fast ours must be there.
type Must = (&'static str, f64);
/// What is set against what, and what must come out.
const PAIRS: [(Precision, &str, &[Must]); 5] = [
    (Precision::Bf16, "compiled", &[("example", 1.2), ("paper", 1.0)]),
    (Precision::Bf16, "graphed", &[]),
    (Precision::Bf16, "eager", &[("example", 4.0)]),
    (Precision::Tf32, "eager_tf32", &[]),
    (Precision::F32, "eager", &[]),
];

/// One side, with what each round gave.
struct Side {
    name: String,
    does: Steps,
    /// Of a round.
    steps: usize,
    speeds: Vec<f64>,
    losses: Vec<[f64; 2]>,
    wrong: Option<String>,
}

enum Steps {
    Ours(Box<Engine>),
    Theirs(Peer),
}

impl Side {
    fn new(name: &str, does: Steps) -> Self {
        let name = name.to_string();
        Self { name, does, steps: 2, speeds: Vec::new(), losses: Vec::new(), wrong: None }
    }

    /// Seconds of so many steps, and the losses then.
    fn steps(&mut self, n: usize) -> Result<(f64, [f64; 2]), String> {
        match &mut self.does {
            Steps::Ours(engine) => engine.steps(n).map_err(|error| error.to_string()),
            Steps::Theirs(peer) => {
                let told = peer.ask(&n.to_string())?;
                let of = |key: &str| told[key].as_f64().ok_or(format!("no `{key}` in {told}"));
                Ok((of("seconds")?, [of("loss_d")?, of("loss_g")?]))
            }
        }
    }

    /// Finds how many steps fill a round.
    fn calibrate(&mut self, seconds: f64) -> Result<(), String> {
        self.steps(4)?;
        let once = self.steps(4)?.0 / 4.0;
        self.steps = ((seconds / once) as usize).clamp(2, 100_000);
        Ok(())
    }

    /// Does a round; one that goes wrong is the last.
    fn round(&mut self, batch: usize) {
        if self.wrong.is_some() {
            return;
        }
        match self.steps(self.steps) {
            Ok((seconds, losses)) => {
                self.speeds.push((self.steps * batch) as f64 / seconds);
                self.losses.push(losses);
            }
            Err(why) => self.wrong = Some(why),
        }
    }
}

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let networks = if arguments.toy { vec![TOY] } else { vec![EXAMPLE, PAPER] };
    for network in networks.into_iter().filter(|network| arguments.wants(network)) {
        compare(arguments, &network);
    }
    Ok(())
}

fn compare(arguments: &Arguments, network: &Network) {
    let mut sides = Vec::new();
    let mut take = |name: &str, started: Result<Steps, String>, is_ours: bool| {
        let calibrated = started.and_then(|does| {
            let mut side = Side::new(name, does);
            side.calibrate(arguments.seconds).map(|()| side)
        });
        let check = format!("{}: {name}", network.name);
        match calibrated {
            Ok(side) => sides.push(side),
            Err(why) if is_ours => Row::fail(STAGE, check, why).say(),
            Err(why) => Row::skipped(STAGE, check, why).say(),
        }
    };
    for precision in [Precision::Bf16, Precision::Tf32, Precision::F32] {
        let engine = Engine::new(network, alone(precision));
        let started = engine.map(|e| Steps::Ours(Box::new(e))).map_err(|e| e.to_string());
        take(precision.name(), started, true);
    }
    let described = network.json().to_string();
    for variant in
        VARIANTS.into_iter().filter(|v| arguments.variants.iter().any(|asked| asked == v))
    {
        let words = ["--network", &described, "--variant", variant];
        let name = format!("peer-{}-{variant}", network.name);
        let started = Peer::start(arguments, "gpu_peer.py", &words, &name);
        take(variant, started.map(Steps::Theirs), false);
    }
    for _ in 0..arguments.rounds {
        sides.iter_mut().for_each(|side| side.round(network.batch));
    }
    sides.iter().for_each(|side| of_side(network, side).say());
    let named = |name: &str| sides.iter().find(|side| side.name == name);
    for (precision, variant, musts) in PAIRS {
        if let (Some(ours), Some(theirs)) = (named(precision.name()), named(variant)) {
            let must = musts.iter().find(|(name, _)| *name == network.name).map(|(_, must)| *must);
            of_pair(network, ours, theirs, must).say();
        }
    }
}

fn of_side(network: &Network, side: &Side) -> Row {
    let who = match side.does {
        Steps::Ours(_) => "Duel",
        Steps::Theirs(_) => "PyTorch",
    };
    let row =
        Row::unless(STAGE, format!("{}: {who} {}", network.name, side.name), side.wrong.clone());
    let Some([least, median, most]) = spread(&side.speeds) else { return row };
    let data = json!({
        "network": network.json(), "side": side.name, "who": who, "steps": side.steps,
        "images_per_second": side.speeds, "losses": side.losses,
    });
    row.figure(format!("{median:.0} images/s ({least:.0} to {most:.0})")).data(data)
}

/// Ratios of rounds that follow each other.
fn of_pair(network: &Network, ours: &Side, theirs: &Side, must: Option<f64>) -> Row {
    let check = format!("{}: {} over {}", network.name, ours.name, theirs.name);
    let ratios: Vec<f64> = ours.speeds.iter().zip(&theirs.speeds).map(|(a, b)| a / b).collect();
    let Some([low, ratio, high]) = spread(&ratios) else {
        return Row::skipped(STAGE, check, "no round of both");
    };
    let missed = must.filter(|must| ratio < *must);
    let figure = format!("{ratio:.2} times as fast ({low:.2} to {high:.2})");
    let data = json!({"ratios": ratios, "must": must});
    Row::unless(STAGE, check, missed.map(|must| format!("must be {must:.1}")))
        .figure(figure)
        .data(data)
}

/// Least, median and most.
pub fn spread(of: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some([*sorted.first()?, sorted[sorted.len() / 2], *sorted.last()?])
}
