//! What each rank does.

use crate::folder::{Folder, told};
use collective::mpi::{Mpi, MpiEngine};
use collective::pmi::{self, PmiError};
use collective::{Engine, Group, Kind, Lost, Numbers, Place};
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// The variables that tell a process which case it is and where its folder is; the third is there if no
/// launcher serves MPI.
pub const CASE: &str = "DUEL_TEST_CASE";
pub const FOLDER: &str = "DUEL_TEST_FOLDER";
pub const BOOT: &str = "DUEL_TEST_BOOT";

/// How long a rank waits for one that does not come.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long ranks may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many numbers are added up: around what is short, and around segments.
const LENGTHS: [usize; 9] = [0, 1, 3, 255, 2049, 16_385, 262_143, 262_145, 1_500_001];

/// Not a test, but what the tests start as a rank. Ends with 0, or with 76 for a lost rank, 3 for one that
/// failed, 4 for ranks that disagree, and else 1.
#[test]
fn rank() {
    let Ok(case) = std::env::var(CASE) else { return };
    let Err(error) = run(&case) else { return };
    last_words(&error.to_string());
    let status = match error.downcast_ref::<Lost>().map(|lost| lost.kind) {
        Some(Kind::Peer) => 76,
        Some(Kind::Failed) => 3,
        Some(Kind::Disagree) => 4,
        None => 1,
    };
    // MPI's own handlers would wait for the others.
    signal_hook::low_level::exit(status)
}

/// In one call, so that lines of ranks do not mix.
fn last_words(words: &str) {
    let _ = std::io::stderr().write_all(format!("{words}\n").as_bytes());
}

fn run(case: &str) -> Result<(), Box<dyn Error>> {
    let (rank, world) = told().ok_or("no launcher tells a rank")?;
    let last = rank + 1 == world;
    let folder = PathBuf::from(std::env::var(FOLDER)?);
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let start: Arc<dyn Group> =
        Arc::new(Folder::meet(rank, world, here, PATIENCE, folder.clone())?);
    if std::env::var_os(BOOT).is_some() {
        pmi::boot(&start).map_err(|error| -> Box<dyn Error> {
            start.fail(&error.to_string());
            match error {
                PmiError::Lost(lost) => lost.into(),
                other => other.into(),
            }
        })?;
    }
    if case == "absent" && last {
        sleep(2 * DEADLINE);
        return Ok(());
    }
    let deadline =
        if matches!(case, "sums" | "lengths" | "places" | "types") { PATIENCE } else { DEADLINE };
    let mpi = Arc::new(Mpi::init(Some((rank, world)), deadline, last_words)?);
    println!(
        "rank {rank} of {world} on {}: {}, {}",
        mpi.processor(),
        mpi.name(),
        mpi.path().display()
    );
    words_are_told(&mpi)?;
    let later = folder.join("later");
    if rank == 0 {
        std::fs::create_dir(&later)?;
    }
    mpi.broadcast(b"made")?;
    let group: Arc<dyn Group> = Arc::new(Folder::meet(rank, world, here, deadline, later)?);
    let mut sums = Sums { engine: MpiEngine::new(&mpi, &group)?, rank, world };
    sums.add("first", &mut [1.0_f32; 8])?;
    match case {
        "sums" => {
            let first = sums.all_kinds()?;
            if sums.all_kinds()? != first {
                return Err("the same sums have other bits the second time".into());
            }
            if mpi.all_gather(&first.to_ne_bytes())?.iter().any(|bits| *bits != first.to_ne_bytes())
            {
                return Err("sums have other bits on another rank".into());
            }
            println!("rank {rank}: bits {first:016x}");
        }
        "lengths" => sums.add("here", &mut vec![1.0_f32; if last { 5000 } else { 50_000 }])?,
        "places" => sums.add(if last { "here" } else { "there" }, &mut [1.0_f32; 4])?,
        "types" if last => sums.add("here", &mut [1.0_f64; 4])?,
        "types" => sums.add("here", &mut [1.0_f32; 4])?,
        "late" if last => sleep(2 * DEADLINE),
        "stopped" if last => signal("-STOP")?,
        "gone" if last => signal("-KILL")?,
        "failed" if last => {
            group.fail("something else is wrong");
            sleep(2 * DEADLINE);
        }
        "late" | "stopped" | "gone" | "failed" => sums.add("never", &mut vec![1.0_f32; 1 << 20])?,
        other => return Err(format!("no case is called `{other}`").into()),
    }
    drop(sums);
    group.part()?;
    mpi.finalize(last_words)?;
    Ok(())
}

/// Words go to all ranks, whatever their lengths.
fn words_are_told(mpi: &Mpi) -> Result<(), Box<dyn Error>> {
    let of = |rank: usize| vec![rank as u8 + 1; 13 * rank];
    let all = mpi.all_gather(&of(mpi.rank()))?;
    let expected: Vec<Vec<u8>> = (0..mpi.world()).map(of).collect();
    let zeroth = mpi.broadcast(format!("from rank {}", mpi.rank()).as_bytes())?;
    match all == expected && zeroth == b"from rank 0" {
        true => Ok(()),
        false => Err(format!("found {all:?} and {zeroth:?}").into()),
    }
}

fn signal(name: &str) -> Result<(), Box<dyn Error>> {
    let this = std::process::id().to_string();
    std::process::Command::new("kill").args([name, &this]).status()?;
    Ok(())
}

struct Sums {
    engine: MpiEngine,
    rank: usize,
    world: usize,
}

/// A type that can be added up.
trait Real: Copy {
    fn numbers(values: &mut [Self]) -> Numbers;
    fn from(value: f64) -> Self;
    fn bits(self) -> u64;
}

impl Real for f32 {
    fn numbers(values: &mut [Self]) -> Numbers {
        Numbers::F32(values.as_mut_ptr(), values.len())
    }
    fn from(value: f64) -> Self {
        value as Self
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Real for f64 {
    fn numbers(values: &mut [Self]) -> Numbers {
        Numbers::F64(values.as_mut_ptr(), values.len())
    }
    fn from(value: f64) -> Self {
        value
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

impl Sums {
    /// One sum.
    fn add<T: Real>(&mut self, place: &str, values: &mut [T]) -> Result<(), Lost> {
        // SAFETY: borrowed for longer than the sum; after an error the process ends.
        let ticket = unsafe { self.engine.begin(T::numbers(values), &at(place)) }?;
        self.engine.finish(ticket)
    }

    /// Both types, whole numbers and any, one by one and many at a time; answers with a hash of all bits.
    fn all_kinds(&mut self) -> Result<u64, Box<dyn Error>> {
        let mut hasher = DefaultHasher::new();
        self.kinds::<f32>("f32", &mut hasher)?;
        self.kinds::<f64>("f64", &mut hasher)?;
        Ok(hasher.finish())
    }

    fn kinds<T: Real>(
        &mut self,
        name: &str,
        hasher: &mut DefaultHasher,
    ) -> Result<(), Box<dyn Error>> {
        let (rank, world) = (self.rank, self.world);
        let whole =
            |len: usize, rank: usize| (0..len).map(move |i| ((i % 1000) * (rank + 1)) as f64);
        let total = world * (world + 1) / 2;
        let mut all: Vec<Vec<T>> =
            LENGTHS.iter().map(|len| whole(*len, rank).map(T::from).collect()).collect();
        // One by one, then many at a time, finished in another order than they are begun.
        for (values, len) in all.iter_mut().zip(LENGTHS) {
            self.add(&format!("{name} {len}"), values)?;
        }
        let right = |values: &Vec<T>, factor: usize| {
            values
                .iter()
                .enumerate()
                .all(|(i, v)| v.bits() == T::from(((i % 1000) * factor) as f64).bits())
        };
        if let Some(wrong) = all.iter().find(|values| !right(values, total)) {
            return Err(format!("rank {rank}: {} numbers of {name} are wrong", wrong.len()).into());
        }
        let mut tickets = Vec::new();
        for values in &mut all {
            let place = at(&format!("{name} {} at once", values.len()));
            // SAFETY: the values are not touched before all are finished; after an error the process ends.
            tickets.push(unsafe { self.engine.begin(T::numbers(values), &place) }?);
            self.engine.poll()?;
        }
        for ticket in tickets.into_iter().rev() {
            self.engine.finish(ticket)?;
        }
        if !all.iter().all(|values| right(values, total * world)) {
            return Err(format!("rank {rank}: sums of {name} at once are wrong").into());
        }
        // Of numbers whose sum depends on the order.
        for (i, values) in all.iter_mut().enumerate() {
            let seed = (1 + i + 100 * rank) as f64;
            for (j, value) in values.iter_mut().enumerate() {
                *value = T::from((seed * 12.9898 + j as f64 * 78.233).sin() * 43.758);
            }
            self.add(&format!("{name} {i} of any"), values)?;
            values.iter().for_each(|value| value.bits().hash(hasher));
        }
        Ok(())
    }
}

fn at(operation: &str) -> Arc<Place> {
    Arc::new(Place { program: "test".to_string(), operation: operation.to_string() })
}
