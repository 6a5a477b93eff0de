//! Experiments that ranks run, and what comes of them.

use crate::DUEL;
use crate::job::Job;
use crate::start::Start;
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::duel::{self, Place};

/// How far parameters may be from those of one rank, as a part of the largest of their tensor: sums of f64
/// are taken in another order.
const NEAR: f64 = 1e-12;
/// Words for a run that does not end by itself, and writes a checkpoint now and then.
pub const ENDLESS: &str = "--set images=100000000 --set every.samples=100000000";
/// Images between two checkpoints of `dcgan.yaml`.
pub const CHECKPOINT: u64 = 240;

/// A folder with `dcgan.yaml` (batch norm, Adam, an average, mirrored images) and `gaussian.yaml` (dropout,
/// maxout), both in f64.
pub struct Room {
    pub place: Place,
}

impl Room {
    pub fn new() -> Self {
        Self::with(duel::IMAGES)
    }

    /// With so many images in the data set.
    pub fn with(images: usize) -> Self {
        let place = Place::new(DUEL);
        place.shards("tiny", images, duel::SIDE);
        for (name, text) in [("dcgan", duel::DCGAN), ("gaussian", duel::GAUSSIAN)] {
            place.write(&format!("{name}.yaml"), format!("{}\nprecision: f64\n", text.trim_end()));
        }
        Self { place }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// One rank, to its end.
    #[track_caller]
    pub fn one_rank(&self, words: &str) {
        self.place.duel(&format!("{words} --threads 1")).fine();
    }

    /// Ranks, to their end, which is a good one.
    #[track_caller]
    pub fn ranks(&self, start: &dyn Start, world: usize, words: &str) {
        let mut job = Job::new();
        start.ranks(&mut job, self, world, words);
        let ended = job.end();
        assert!(ended.iter().all(|ended| ended.code == 0), "{}", job.told());
        job.nothing_is_left();
    }

    /// Where the checkpoints of a run are, in images.
    pub fn checkpoints(&self, run: &str) -> Vec<u64> {
        let entries = fs::read_dir(self.path(run).join("checkpoints")).into_iter().flatten();
        let names = entries.map(|entry| entry.expect("readable").file_name());
        let number = |name: std::ffi::OsString| {
            name.to_str()?.strip_suffix(".safetensors")?.parse::<u64>().ok()
        };
        let mut all: Vec<u64> = names.filter_map(number).collect();
        all.sort_unstable();
        all
    }

    /// Waits until a run has this many checkpoints.
    #[track_caller]
    pub fn wait_for_checkpoints(&self, job: &mut Job, run: &str, count: usize) {
        job.until(&format!("checkpoint {count}"), |_| self.checkpoints(run).len() >= count);
    }

    /// Makes a run end `more` images after its last checkpoint, and returns where that is.
    pub fn shorten(&self, run: &str, more: u64) -> u64 {
        let last = *self.checkpoints(run).last().expect("a checkpoint");
        let total = last + more;
        let file = format!("{run}/resolved.yaml");
        let resolved = self.place.text(&file);
        let short = resolved.replace("\nimages: 100000000\n", &format!("\nimages: {total}\n"));
        assert_ne!(short, resolved, "it is a run that does not end by itself");
        self.place.write(&file, short);
        total
    }

    /// That two runs have ended with the same parameters, and what else their last checkpoints hold, but for
    /// rounding.
    #[track_caller]
    pub fn same(&self, run: &str, other: &str) {
        let worst = self.difference(run, other);
        assert!(worst <= NEAR, "{run} is {worst:e} away from {other}");
        eprintln!("{run}: at most {worst:.1e} away from {other}");
    }

    /// That two runs have ended with the same bits.
    #[track_caller]
    pub fn equal(&self, run: &str, other: &str) {
        assert_eq!(self.difference(run, other), 0.0, "{run} is not {other}");
    }

    /// The largest difference of two numbers of the last checkpoints, as a part of the largest of its tensor,
    /// if that is larger than one.
    #[track_caller]
    pub fn difference(&self, run: &str, other: &str) -> f64 {
        let last = |run: &str| *self.checkpoints(run).last().expect("a checkpoint");
        assert_eq!(last(run), last(other), "{run} and {other} have not ended at the same step");
        let file = |run: &str| format!("{run}/checkpoints/{:012}.safetensors", last(run));
        let [ours, theirs] = [run, other].map(|run| self.place.read(&file(run)));
        let [ours, theirs] =
            [&ours, &theirs].map(|bytes| SafeTensors::deserialize(bytes).expect("it is whole"));
        let mut names = ours.names();
        names.sort_unstable();
        let mut their_names = theirs.names();
        their_names.sort_unstable();
        assert_eq!(names, their_names);
        let mut worst = 0.0_f64;
        let mut counted = 0;
        for name in names {
            let [a, b] = [&ours, &theirs].map(|all| all.tensor(name).expect("it was listed"));
            assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()), "{name}");
            if a.dtype() != Dtype::F64 {
                assert_eq!(a.data(), b.data(), "{name}");
                continue;
            }
            counted += a.data().len() / 8;
            let pairs = || numbers(a.data()).zip(numbers(b.data()));
            let largest = pairs().fold(1.0_f64, |most, (x, _)| most.max(x.abs()));
            for (x, y) in pairs() {
                let away = (x - y).abs() / largest;
                // Not a number is not near.
                worst = if away <= worst { worst } else { away };
            }
        }
        assert!(counted > 20, "a checkpoint holds parameters: {counted}");
        worst
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().expect("eight bytes")))
}

/// What a fault was and when, to tell how long it took until all had noticed.
pub struct Fault {
    what: String,
    at: Instant,
}

impl Fault {
    pub fn now(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: Instant::now() }
    }

    /// How long ago.
    pub fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Tells what comes of it now, and how long ago it was.
    pub fn tell(&self, what: &str) {
        eprintln!("{}: {what} {:.1} s later", self.what, self.elapsed().as_secs_f64());
    }

    /// Tells how long after it everything had ended.
    pub fn ended(&self, ended: &[crate::job::Ended]) -> Duration {
        let last = ended.iter().map(|ended| ended.at).max().expect("somebody");
        let took = last.saturating_duration_since(self.at);
        eprintln!("{}: all had ended {:.1} s later", self.what, took.as_secs_f64());
        took
    }
}
