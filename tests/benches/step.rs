//! Images per second of a training step against PyTorch, in one run, round by round in turn.
//!
//! `make bench` starts it. The configurations are those of `tests/peer/peer.py`: the network of the
//! PyTorch example, its schedule (`shared_fakes`), its optimiser. Both sides do whole steps, with
//! the batch handed over each time. The machine's speed drifts, so what counts is the ratio of
//! neighbouring rounds.

use serde_json::{Value, json};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use tape::{Clock, Device, Dtype, Options, T};
use train::{Count, Experiment, Recorded};

/// (name, side, channels, width, batch)
const CONFIGS: [(&str, usize, usize, usize, usize); 3] =
    [("a", 64, 3, 64, 128), ("b", 32, 1, 64, 64), ("c", 64, 3, 128, 32)];

struct Arguments {
    peer: Option<String>,
    configs: Vec<String>,
    variants: Vec<String>,
    rounds: usize,
    threads: usize,
    seconds: f64,
    out: String,
}

fn main() {
    let arguments = Arguments::parse();
    let mut rows = Vec::new();
    for name in &arguments.configs {
        rows.extend(compare(&arguments, name));
    }
    let out = Path::new(&arguments.out);
    let text = serde_json::to_string_pretty(&rows).expect("rows are JSON");
    fs::create_dir_all(out.parent().expect("a folder")).expect("the folder can be made");
    fs::write(out, text + "\n").expect("the rows can be written");
    println!("{}", out.canonicalize().expect("it was written").display());
}

impl Arguments {
    fn parse() -> Self {
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.json");
        let mut parsed = Self {
            peer: None,
            configs: vec!["b".to_string()],
            variants: vec!["eager".to_string()],
            rounds: 7,
            threads: 2,
            seconds: 3.0,
            out: target.to_string(),
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            let list = |text: String| text.split(',').map(str::to_string).collect();
            match word.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => {}
                "--peer" => parsed.peer = Some(value()),
                "--configs" => parsed.configs = list(value()),
                "--variants" => parsed.variants = list(value()),
                "--rounds" => parsed.rounds = value().parse().expect("a number of rounds"),
                "--threads" => parsed.threads = value().parse().expect("a number of threads"),
                "--seconds" => parsed.seconds = value().parse().expect("seconds of a round"),
                "--out" => parsed.out = value(),
                other => panic!(
                    "{other}: expected --peer, --configs, --variants, --rounds, --threads, --seconds or --out"
                ),
            }
        }
        parsed
    }
}

/// Something that does training steps.
trait Engine {
    fn title(&self) -> [String; 2];
    /// Seconds for so many steps.
    fn steps(&mut self, n: usize) -> f64;
}

/// Runs a configuration round by round, prints its table, and gives its rows.
fn compare(arguments: &Arguments, name: &str) -> Vec<Value> {
    let config = CONFIGS.iter().find(|c| c.0 == name);
    let &(_, side, channels, width, batch) =
        config.unwrap_or_else(|| panic!("no configuration `{name}`; there are a, b and c"));
    let threads = arguments.threads;
    let mut engines: Vec<Box<dyn Engine>> =
        vec![Box::new(Duel::new([side, channels, width, batch], threads))];
    if let Some(peer) = &arguments.peer {
        for variant in &arguments.variants {
            match Peer::start(peer, name, variant, threads) {
                Ok(peer) => engines.push(Box::new(peer)),
                Err(why) => eprintln!("no PyTorch {variant} to compare with: {why}"),
            }
        }
    }
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
            speeds.push((n * batch) as f64 / seconds);
        }
        eprintln!("config {name}: round {} of {}", round + 1, arguments.rounds);
    }
    println!(
        "config {name}: {side}×{side}×{channels}, width {width}, batch {batch}, {threads} threads"
    );
    println!(
        "  {:8} {:30} {:>8} {:>8} {:>8}   Duel is",
        "engine", "variant", "img/s", "min", "max"
    );
    let mut rows = Vec::new();
    for (engine, speeds_of) in engines.iter().zip(&speeds) {
        let [engine, variant] = engine.title();
        let ratios: Vec<f64> = speeds[0].iter().zip(speeds_of).map(|(a, b)| a / b).collect();
        let spread = |of: &[f64]| {
            let mut sorted = of.to_vec();
            sorted.sort_by(f64::total_cmp);
            [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
        };
        let [least, median, most] = spread(speeds_of);
        let [low, ratio, high] = spread(&ratios);
        let verdict = match rows.is_empty() {
            true => String::new(),
            false => format!("{ratio:.2} times as fast ({low:.2} to {high:.2})"),
        };
        println!("  {engine:8} {variant:30} {median:8.1} {least:8.1} {most:8.1}   {verdict}");
        rows.push(json!({
            "config": name,
            "engine": engine,
            "variant": variant,
            "threads": threads,
            "images_per_second": speeds_of,
        }));
    }
    rows
}

/// Our own step.
struct Duel {
    recorded: Recorded,
    device: Box<dyn Device>,
    clock: Clock,
    real: Vec<u8>,
    input: T,
    title: String,
}

impl Duel {
    fn new([side, channels, width, batch]: [usize; 4], threads: usize) -> Self {
        let spec: Experiment = serde_json::from_value(json!({
            "model": { "dcgan": {
                "image": side, "channels": channels, "width": width, "kernel": 4, "noise": "normal",
            } },
            "data": { "images": { "set": "noise" } },
            "schedule": "shared_fakes",
            "batch": batch,
            "images": Count(1 << 20),
        }))
        .expect("the experiment is good");
        let recorded = Recorded::new(&spec, [side, side, channels], Dtype::U8, 1);
        let pool = cpu::pool(threads).expect("threads");
        let mut device = cpu::device(pool, 4);
        device.load(&recorded.tape, &Options::default()).expect("the tape loads");
        let scalars = recorded.tape.scalars();
        // Beyond Adam's first steps, so that its corrections are 1.
        let value = |name: &String| if name.ends_with("rate") { 2e-4 } else { 1.0 };
        let scalars = scalars.iter().map(value).collect();
        let clock = Clock { seed: 0, tick: 0, rank: 0, scalars, check: false };
        device.run(recorded.init, &clock).expect("it starts");
        let pixels = batch * side * side * channels;
        let real = (0..pixels).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        let (input, title) = (recorded.real, format!("shared_fakes, {}", device.describe()));
        Self { input, recorded, clock, real: real.collect(), title, device }
    }
}

impl Engine for Duel {
    fn title(&self) -> [String; 2] {
        ["Duel".to_string(), self.title.clone()]
    }

    fn steps(&mut self, n: usize) -> f64 {
        let begun = Instant::now();
        let steps = self.recorded.steps;
        for _ in 0..n {
            self.clock.tick += 1;
            self.device.write(self.input, &self.real).expect("the batch fits");
            self.device.run(steps.discriminator, &self.clock).expect("the step runs");
        }
        let seconds = begun.elapsed().as_secs_f64();
        let fault = self.recorded.tape.fault();
        let mut flag = [0; 4];
        self.device.read(fault, &mut flag).expect("the flag is there");
        assert_eq!(flag, [0; 4], "a step was not finite: nothing was updated since");
        seconds
    }
}

/// `tests/peer/peer.py`, asked over a pipe.
struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    title: String,
}

impl Peer {
    fn start(venv: &str, config: &str, variant: &str, threads: usize) -> Result<Self, String> {
        // Cargo runs benchmarks in the folder of their package; the environment is named from the top.
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
        let python = top.join(venv).join("bin/python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer/peer.py");
        let mut child = Command::new(&python)
            .arg(script)
            .args(["--config", config, "--variant", variant, "--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let ask = child.stdin.take().expect("piped");
        let mut answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let ready: Value = serde_json::from_str(&line)
            .map_err(|_| format!("it did not start: {}", line.trim()))?;
        let version = ready["torch"].as_str().unwrap_or("of unknown version");
        Ok(Self { child, ask, answers, title: format!("{variant}, {version}") })
    }
}

impl Engine for Peer {
    fn title(&self) -> [String; 2] {
        ["PyTorch".to_string(), self.title.clone()]
    }

    fn steps(&mut self, n: usize) -> f64 {
        writeln!(self.ask, "{n}").and_then(|()| self.ask.flush()).expect("PyTorch listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("PyTorch answers");
        let told: Value = serde_json::from_str(&line).expect("PyTorch answers in JSON");
        told["seconds"].as_f64().expect("PyTorch tells its seconds")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        writeln!(self.ask, "quit").ok();
        self.child.wait().ok();
    }
}
