//! How fast sums by MPI are, against the library's own blocking call.
//!
//! ```text
//! mpirun -n 2 mpi_bandwidth [--repeats 60] [--json] [BYTES ...]
//! ```
//!
//! For each size: the time of `MPI_Allreduce` (f32, in place) and of the engine's begin and finish, each the
//! best and the median, the ratio of the best, which other programs disturb least, and the share of the sum
//! that is hidden behind a computation of twice its length that never calls MPI, on one thread. Rank 0 prints;
//! `--json` adds one line for programs.

use collective::mpi::{Mpi, MpiEngine};
use collective::{Engine, Group, Kind, Lost, Member, Numbers, Place};
use std::error::Error;
use std::fmt;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);
/// From one number to the gradient of a small GAN.
const SIZES: [usize; 9] =
    [4, 1 << 10, 8 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 14 << 20, 48 << 20];

fn main() -> Result<(), Box<dyn Error>> {
    let (mut repeats, mut json, mut sizes) = (60, false, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--repeats" => repeats = words.next().ok_or("--repeats needs a number")?.parse()?,
            bytes => sizes.push(bytes.parse().map_err(|_| format!("`{bytes}` is no size"))?),
        }
    }
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    let mpi = Arc::new(Mpi::init(None, DEADLINE, |words| eprintln!("{words}"))?);
    let group: Arc<dyn Group> = Arc::new(Words::new(&mpi)?);
    let mut bench = Bench {
        engine: MpiEngine::new(&mpi, &group)?,
        place: Arc::new(Place { program: "bandwidth".into(), operation: "sum".into() }),
        mpi: Arc::clone(&mpi),
    };
    let zeroth = mpi.rank() == 0;
    if zeroth {
        println!("{} ranks, {} ({})", mpi.world(), bench.engine.describe(), mpi.path().display());
        println!("           MPI's, us           ours, us            at best");
        println!("     bytes      best    median      best    median    GB/s  ratio hidden");
    }
    let mut rows = Vec::new();
    for bytes in sizes {
        let row = bench.measure(bytes, repeats)?;
        if zeroth {
            println!("{row}");
        }
        rows.push(row.json());
    }
    if zeroth && json {
        let (name, world, sums) = (mpi.name(), mpi.world(), rows.join(","));
        println!(r#"{{"mpi":"{name}","ranks":{world},"repeats":{repeats},"sums":[{sums}]}}"#);
    }
    drop(bench);
    mpi.finalize(|words| eprintln!("{words}"))?;
    Ok(())
}

/// Seconds.
struct Times {
    best: f64,
    median: f64,
}

impl Times {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self { best: all[0], median: all[all.len() / 2] }
    }
}

struct Row {
    bytes: usize,
    theirs: Times,
    ours: Times,
    /// Share of the sum that did not have to be waited for.
    hidden: f64,
}

impl Row {
    /// Ours to theirs, in bandwidth.
    fn ratio(&self) -> f64 {
        self.theirs.best / self.ours.best
    }

    fn json(&self) -> String {
        let Self { bytes, theirs, ours, hidden } = self;
        format!(
            r#"{{"bytes":{bytes},"mpi":[{:e},{:e}],"ours":[{:e},{:e}],"ratio":{:.4},"hidden":{hidden:.4}}}"#,
            theirs.best,
            theirs.median,
            ours.best,
            ours.median,
            self.ratio()
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, theirs, ours, hidden } = self;
        write!(f, "{bytes:>10}")?;
        for seconds in [theirs.best, theirs.median, ours.best, ours.median] {
            write!(f, "{:>10.1}", seconds * 1e6)?;
        }
        let rate = *bytes as f64 / ours.best / 1e9;
        write!(f, "{rate:>8.3}{:>7.2}{:>6.0}%", self.ratio(), hidden * 100.0)
    }
}

struct Bench {
    engine: MpiEngine,
    mpi: Arc<Mpi>,
    place: Arc<Place>,
}

impl Bench {
    fn measure(&mut self, bytes: usize, repeats: usize) -> Result<Row, Box<dyn Error>> {
        let mut values = vec![0.0_f32; (bytes / 4).max(1)];
        let mut few = [0.0_f32];
        let [mut theirs, mut ours, mut alone, mut behind] = [const { Vec::new() }; 4];
        let times = if bytes < 1 << 16 { 20 * repeats } else { repeats };
        // One after the other, so that a busy machine is busy for both; each begins together on all ranks.
        for _ in 0..times.max(1) {
            self.sum(&mut few)?;
            let since = Instant::now();
            self.mpi.all_reduce(&mut values)?;
            theirs.push(since.elapsed().as_secs_f64());
            self.sum(&mut few)?;
            let since = Instant::now();
            self.sum(&mut values)?;
            ours.push(since.elapsed().as_secs_f64());
        }
        let (theirs, ours) = (Times::of(theirs), Times::of(ours));
        let steps = (2.0 * self.largest(ours.median)? / step_seconds()) as usize;
        for _ in 0..repeats.clamp(1, 20) {
            self.sum(&mut few)?;
            let since = Instant::now();
            compute(steps);
            alone.push(since.elapsed().as_secs_f64());
            self.sum(&mut few)?;
            let since = Instant::now();
            // SAFETY: borrowed until the sum is finished; after an error the process ends.
            let ticket = unsafe { self.engine.begin(numbers(&mut values), &self.place) }?;
            compute(steps);
            self.engine.finish(ticket)?;
            behind.push(since.elapsed().as_secs_f64());
        }
        let exposed = Times::of(behind).median - Times::of(alone).median;
        let hidden = (1.0 - exposed / ours.median).clamp(0.0, 1.0);
        Ok(Row { bytes, theirs, ours, hidden })
    }

    fn sum(&mut self, values: &mut [f32]) -> Result<(), Lost> {
        // SAFETY: borrowed until the sum is finished; after an error the process ends.
        let ticket = unsafe { self.engine.begin(numbers(values), &self.place) }?;
        self.engine.finish(ticket)
    }

    /// The largest of all ranks' numbers: they compute equally long.
    fn largest(&self, number: f64) -> Result<f64, Box<dyn Error>> {
        let all = self.mpi.all_gather(&number.to_ne_bytes())?;
        let numbers =
            all.iter().map(|bytes| f64::from_ne_bytes(bytes[..].try_into().expect("eight")));
        Ok(numbers.fold(0.0, f64::max))
    }
}

fn numbers(values: &mut [f32]) -> Numbers {
    Numbers::F32(values.as_mut_ptr(), values.len())
}

/// Works within the first cache.
fn compute(steps: usize) {
    let mut values = [1.0_f32; 1024];
    for _ in 0..steps {
        values.iter_mut().for_each(|value| *value = value.mul_add(0.999, 0.001));
        black_box(&mut values);
    }
}

fn step_seconds() -> f64 {
    let since = Instant::now();
    compute(20_000);
    since.elapsed().as_secs_f64() / 20_000.0
}

/// A group that says its words by MPI and never misses anybody.
struct Words {
    mpi: Arc<Mpi>,
    members: Vec<Member>,
}

impl Words {
    fn new(mpi: &Arc<Mpi>) -> Result<Self, Box<dyn Error>> {
        let hosts = mpi.all_gather(mpi.processor().as_bytes())?;
        let member = |(rank, host): (usize, Vec<u8>)| Member {
            rank,
            host: String::from_utf8_lossy(&host).into_owned(),
            pid: std::process::id(),
            local_rank: 0,
        };
        let members = hosts.into_iter().enumerate().map(member).collect();
        Ok(Self { mpi: Arc::clone(mpi), members })
    }
}

impl Group for Words {
    fn rank(&self) -> usize {
        self.mpi.rank()
    }
    fn members(&self) -> &[Member] {
        &self.members
    }
    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
    fn deadline(&self) -> Duration {
        DEADLINE
    }
    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        let lost = |why| Lost::new(Kind::Peer, format!("{what}: {why}"));
        self.mpi.all_gather(mine).map_err(lost)
    }
    fn step(&self, _: u64) {}
    fn enter_place(&self, _: &Arc<Place>) {}
    fn leave_place(&self) {}
    fn check(&self) -> Result<(), Lost> {
        Ok(())
    }
    fn fail(&self, _: &str) {}
    fn part(&self) -> Result<(), Lost> {
        Ok(())
    }
}
