//! What a rank sees: who started it, who the others are, what adds up, and how fast.

use super::{Rank, launch};
use crate::cli::Globals;
use crate::command::Failure;
use crate::target::Target;
use serde::Serialize;
use std::time::Instant;
use tape::{Clock, Init, Program, T, Tape};
use train::Peers;

/// Bytes that are added up to tell the bandwidth: about the gradient of DCGAN's discriminator.
const BYTES: [usize; 2] = [1 << 10, 16 << 20];
/// How often; the median is told.
const TIMES: usize = 7;

/// Everything that was found.
#[derive(Serialize)]
pub(crate) struct Seen {
    /// Who started this process, as what, and the variables that say so.
    pub launcher: String,
    /// The MPI library that ranks on cores use, if there is one.
    pub mpi: Option<String>,
    /// Why there is none.
    pub mpi_problem: Option<String>,
    /// Every rank, in words.
    pub ranks: Vec<String>,
    /// What adds up.
    pub device: String,
    /// Where rank 0 is met.
    pub address: String,
    /// Seconds that ranks wait for each other.
    pub deadline: f64,
    /// All-reduces that were made.
    pub sums: Vec<Sum>,
}

/// One size of all-reduce.
#[derive(Serialize)]
pub(crate) struct Sum {
    /// Of each rank.
    pub bytes: usize,
    /// Until the result was there.
    pub seconds: f64,
}

impl Seen {
    /// Looks around, and adds up. All ranks call it.
    pub fn gather(globals: &Globals, rank: &Rank) -> Result<Self, Failure> {
        let target = Target::here(globals)?.for_rank(rank)?;
        let gpu = target.gpu().map(|gpu| format!(", {}: {}", target.device(), gpu.name));
        let line = format!("{}{}", rank.me(), gpu.unwrap_or_default());
        let said = rank.all_gather("what ranks see", line.as_bytes())?;
        let ranks = said.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let world = rank.world();
        let (device, sums) = target.run(rank, |device| {
            let mut sums = Vec::new();
            for bytes in BYTES {
                let adds = Adds::new(world, bytes / 4);
                device.load(&adds.tape, &target.options())?;
                let mut times = Vec::with_capacity(TIMES);
                for _ in 0..TIMES {
                    times.push(adds.time(device, rank.rank(), world)?);
                }
                times.sort_by(f64::total_cmp);
                sums.push(Sum { bytes, seconds: times[TIMES / 2] });
            }
            Ok((device.describe(), sums))
        })?;
        let (mpi, mpi_problem) = match collective::installed_mpi() {
            Ok((name, path)) => (Some(format!("{name} at {}", path.display())), None),
            Err(why) => (None, Some(why.to_string())),
        };
        Ok(Self {
            launcher: launch()?.describe(),
            mpi,
            mpi_problem,
            ranks,
            device,
            address: rank.group().address().to_string(),
            deadline: rank.group().deadline().as_secs_f64(),
            sums,
        })
    }
}

/// A program that adds up.
struct Adds {
    tape: Tape,
    fill: Program,
    add: Program,
    /// One number of the sum, which is read alone.
    first: T,
}

impl Adds {
    fn new(world: usize, n: usize) -> Self {
        let tape = Tape::new(world);
        let x = tape.state("x", [n], Init::Constant(1.0));
        let first = tape.state("first", [1], Init::Constant(0.0));
        let fill = tape.record_init();
        let add = tape.record("add", |t| {
            t.all_reduce_in_place(x);
            t.accumulate(first, t.slice(x, n - 1, [1]));
        });
        Self { tape, fill, add, first }
    }

    /// Seconds of one all-reduce, whose result is looked at.
    fn time(
        &self,
        device: &mut dyn tape::Device,
        rank: usize,
        world: usize,
    ) -> Result<f64, Failure> {
        let clock = Clock { seed: 0, tick: 0, rank, scalars: Vec::new(), check: false };
        let mut first = [0; 4];
        device.run(self.fill, &clock)?;
        device.read(self.first, &mut first)?;
        let begun = Instant::now();
        device.run(self.add, &clock)?;
        device.read(self.first, &mut first)?;
        let seconds = begun.elapsed().as_secs_f64();
        match f32::from_le_bytes(first) {
            sum if sum == world as f32 => Ok(seconds),
            sum => Err(format!("an all-reduce of ones over {world} ranks gave {sum}").into()),
        }
    }
}
