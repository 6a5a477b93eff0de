//! One rank of the tests of sums over ranks:
//!
//!     nccl-rank <job> <folder> <rank> <world> <deadline in seconds> <graphs | launches | without>
//!
//! Ranks find each other by an id that rank 0 leaves in the folder; what a rank computed is left there as
//! `<rank>.json`. `without` runs one rank with no communicator.

use cuda::{AllReduce, Communicator, Cuda, Precision, Settings, UniqueId};
use serde_json::json;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process, thread};
use tape::{Clock, Device, Dtype, Program, Tape};
use tests::{Pixels, experiment};
use train::Recorded;

type Outcome = Result<(), Box<dyn Error>>;

/// Rows of the world's batch.
const BATCH: usize = 8;
/// Height, width and channels.
const SAMPLE: [usize; 3] = [16, 16, 3];

struct Rank {
    job: String,
    folder: PathBuf,
    rank: usize,
    world: usize,
    deadline: Duration,
    how: String,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [job, folder, rank, world, seconds, how] = &args[..] else {
        panic!("six arguments, not {args:?}");
    };
    let number = |text: &str| text.parse().expect("a number");
    let rank = Rank {
        job: job.clone(),
        folder: folder.into(),
        rank: number(rank),
        world: number(world),
        deadline: Duration::from_secs(number(seconds) as u64),
        how: how.clone(),
    };
    match rank.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Rank {
    fn run(&self) -> Outcome {
        if self.job == "version" {
            println!("{:?}", cuda::nccl_version()?);
            return Ok(());
        }
        let communicator = match self.how.as_str() {
            "without" => None,
            _ => Some(Arc::new(self.meet()?)),
        };
        let settings = Settings {
            ordinal: 0,
            precision: Precision::F32,
            capture: self.how != "launches",
            collective: communicator.clone().map(|ranks| ranks as Arc<dyn AllReduce>),
        };
        match self.job.as_str() {
            "meet" => Ok(()),
            "step" => self.step(&mut Cuda::new(settings)?),
            _ => self.sums(&mut Cuda::new(settings)?, communicator.as_deref()),
        }
    }

    /// Comes together with the others.
    fn meet(&self) -> Result<Communicator, Box<dyn Error>> {
        let at = self.folder.join("id");
        if self.rank == 0 {
            let written = self.folder.join("id.new");
            fs::write(&written, UniqueId::new()?.to_string())?;
            fs::rename(written, &at)?;
        }
        while !at.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        let id: UniqueId = fs::read_to_string(&at)?.parse()?;
        Ok(Communicator::new(0, self.rank, self.world, &id, self.deadline)?)
    }

    /// Sums of three lengths, with other work between them and behind them.
    fn sums(&self, device: &mut Cuda, communicator: Option<&Communicator>) -> Outcome {
        let tape = Tape::new(self.world);
        let inputs = [70_001, 300_007, 5].map(|n| tape.input(&n.to_string(), Dtype::Real, [n]));
        let mut outputs = Vec::new();
        let program = tape.record("sums", |t| {
            let [a, b, c] = inputs;
            let first = t.all_reduce(t.affine(a, 2.0, 1.0));
            let beside = t.mul(b, b);
            let second = t.all_reduce(beside);
            let alone = t.affine(c, 0.5, 0.25);
            let third = t.all_reduce(t.mul(c, alone));
            outputs.push(t.output("first", t.affine(first, 1.0, 1.0)));
            outputs.push(t.output("second", second));
            outputs.push(t.output("third", t.add(third, alone)));
        });
        device.load(&tape, &Precision::F32.options())?;
        let clock = self.clock(&tape, 0);
        for round in 0..3 {
            for &t in &inputs {
                let number = |i: usize| 0.25 * ((i + 3 * self.rank + 7 * round) % 61) as f32;
                let bytes: Vec<u8> =
                    (0..tape.shape(t).len()).flat_map(|i| number(i).to_le_bytes()).collect();
                device.write(t, &bytes)?;
            }
            if round == 1 && self.rank == 1 {
                self.fail(communicator)?;
            }
            device.run(program, &clock)?;
        }
        let mut results = json!({});
        for t in outputs {
            let name = tape.tensor(t).name.clone().expect("outputs have names");
            results[name] = json!(read(device, &tape, t)?);
        }
        self.leave(&results)
    }

    /// What goes wrong on a rank, if that is its job.
    fn fail(&self, communicator: Option<&Communicator>) -> Outcome {
        match self.job.as_str() {
            "die" => process::abort(),
            "stop" => communicator.expect("there are others").abort(),
            "hang" => loop {
                thread::sleep(Duration::from_secs(3600));
            },
            _ => {}
        }
        Ok(())
    }

    /// One step of D and one of G, by plain descent, so that gradients and statistics are in the state.
    fn step(&self, device: &mut Cuda) -> Outcome {
        let sgd = json!({"sgd": {"rate": 1.0, "momentum": 0.0}});
        let spec = experiment(json!({
            "model": {"dcgan": {"image": 16, "channels": 3, "width": 8, "kernel": 4, "latent": 6}},
            "batch": BATCH, "ema": 0.5, "optimizer": {"generator": sgd, "discriminator": sgd},
        }));
        let recorded = Recorded::new(&spec, SAMPLE, Dtype::U8, self.world);
        let tape = &recorded.tape;
        device.load(tape, &Precision::F32.options())?;
        let steps = recorded.steps;
        let programs: [Option<Program>; 3] =
            [Some(recorded.init), Some(steps.discriminator), steps.generator];
        device.write(recorded.real, &self.images())?;
        for (tick, program) in programs.into_iter().flatten().enumerate() {
            device.run(program, &self.clock(tape, tick as u64))?;
        }
        let mut results = json!({});
        for (name, t) in tape.saved() {
            results[name] = json!(read(device, tape, t)?);
        }
        self.leave(&results)
    }

    /// This rank's rows of the world's batch: every `world`-th.
    fn images(&self) -> Vec<u8> {
        let bytes = SAMPLE.iter().product();
        let mut all = vec![0; BATCH * bytes];
        Pixels::new(SAMPLE).fill(&mut all);
        let own = |(i, _): &(usize, &[u8])| i % self.world == self.rank;
        all.chunks(bytes).enumerate().filter(own).flat_map(|(_, row)| row.to_vec()).collect()
    }

    fn clock(&self, tape: &Tape, tick: u64) -> Clock {
        let scalars = tape.scalars();
        let scalar = |name: &String| match name {
            name if name.contains("momentum") => 0.0,
            name if name.contains("decay") || name.contains("ema") => 0.5,
            _ => 1.0,
        };
        let scalars = scalars.iter().map(scalar).collect();
        Clock { seed: 7, tick, rank: self.rank, scalars, check: false }
    }

    fn leave(&self, results: &serde_json::Value) -> Outcome {
        Ok(fs::write(self.folder.join(format!("{}.json", self.rank)), results.to_string())?)
    }
}

fn read(device: &mut Cuda, tape: &Tape, t: tape::T) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut bytes = vec![0; tape.shape(t).len() * 4];
    device.read(t, &mut bytes)?;
    let each = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")));
    Ok(each.collect())
}
