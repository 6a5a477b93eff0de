//! Whoever starts the ranks, and however many: the parameters are those of one rank, and one of them writes.

use crate::job::Job;
use crate::room::Room;
use crate::start::{Mpirun, Plain, Srun, Start, Torchrun};
use crate::{SLACK, alone};
use std::time::{Duration, Instant};

/// What the start of eight ranks may take beyond the launcher's own: 2 s on a machine with a core for each.
const START: Duration = Duration::from_secs(10);

/// The experiments with 1, 2 and 4 ranks.
const CASES: [(&str, usize); 4] = [("gaussian", 1), ("gaussian", 2), ("dcgan", 2), ("dcgan", 4)];

/// Few steps: four ranks on fewer cores take their time.
const SHORT: &str = "--set images=448 --set every.samples=448";

fn computes_the_same(start: Option<impl Start>) {
    let Some(start) = start else { return };
    let _alone = alone();
    let room = Room::new();
    for experiment in ["gaussian", "dcgan"] {
        room.one_rank(&format!("train {experiment}.yaml --out {experiment}-whole {SHORT}"));
    }
    for (experiment, world) in CASES {
        let run = format!("{experiment}-{world}");
        let mut job = Job::new();
        let words = format!("train {experiment}.yaml --out {run} {SHORT}");
        start.ranks(&mut job, &room, world, &words);
        let ended = job.end();
        let out: String = ended.iter().map(|ended| ended.out.as_str()).collect();
        let err: String = ended.iter().map(|ended| ended.err.as_str()).collect();
        assert!(ended.iter().all(|ended| ended.code == 0), "{}", job.told());
        job.nothing_is_left();
        // The first rank alone shows and says anything.
        assert_eq!(out, format!("{run}\n"), "{}", job.told());
        let ends = err.lines().filter(|line| line.starts_with("100 %") && line.contains("  in "));
        assert_eq!(ends.count(), 1, "{}", job.told());
        let whole = format!("{experiment}-whole");
        room.same(&run, &whole);
        let [ours, lines] = [&run, &whole].map(|run| room.place.metrics(run));
        assert_eq!(ours.len(), lines.len());
    }
}

#[test]
fn under_mpich() {
    computes_the_same(Mpirun::mpich());
}

#[test]
fn under_open_mpi() {
    computes_the_same(Mpirun::open_mpi());
}

#[test]
fn under_torchrun() {
    computes_the_same(Torchrun::new());
}

#[test]
fn under_srun_without_mpi() {
    computes_the_same(Srun::new("none"));
}

#[test]
fn under_srun_with_pmi() {
    computes_the_same(Srun::new("pmi2"));
}

/// Each rank in a folder of its own, as on hosts that share no disk.
#[test]
fn by_hand_and_only_rank_0_writes() {
    let Some(plain) = Plain::new() else { return };
    let _alone = alone();
    let rooms = [(); 3].map(|()| Room::new());
    rooms[0].one_rank("train dcgan.yaml --out whole --set batch=24");
    let before: Vec<_> = rooms.iter().map(|room| room.place.everything()).collect();
    let mut job = Job::new();
    for (rank, room) in rooms.iter().enumerate() {
        plain.start(&mut job, [rank, 3], room, "train dcgan.yaml --out run --set batch=24");
    }
    let ended = job.end();
    assert!(ended.iter().all(|ended| ended.code == 0), "{}", job.told());
    job.nothing_is_left();
    rooms[0].same("run", "whole");
    assert_eq!(ended[0].out, "run\n");
    for rank in 1..3 {
        assert_eq!((ended[rank].out.as_str(), ended[rank].err.as_str()), ("", ""), "rank {rank}");
        assert!(rooms[rank].place.everything() == before[rank], "rank {rank} has written");
    }
}

/// Eight ranks that train one step, beside eight processes that do nothing and one rank.
#[test]
fn eight_ranks_start_soon() {
    let mut starts: Vec<Box<dyn Start>> = Vec::new();
    for mpirun in Mpirun::all() {
        starts.push(Box::new(mpirun));
    }
    if let Some(plain) = Plain::new() {
        starts.push(Box::new(plain));
    }
    let _alone = alone();
    let room = Room::new();
    let step = "train gaussian.yaml --set images=64 --set every.samples=64 --out";
    let begun = Instant::now();
    room.one_rank(&format!("{step} one"));
    let one = begun.elapsed();
    for (number, start) in starts.iter().enumerate() {
        let timed = |words: &[&str]| {
            let mut job = Job::new();
            let mut command = start.command(8);
            command.args(words).current_dir(room.path(""));
            let begun = Instant::now();
            job.start(&start.name(), command);
            let ended = job.end();
            assert_eq!(ended[0].code, 0, "{}", job.told());
            ended[0].at - begun
        };
        let nothing = timed(&["true"]);
        let run = format!("{step} run{number} --threads 1");
        let words: Vec<&str> = [crate::DUEL].into_iter().chain(run.split_whitespace()).collect();
        let eight = timed(&words);
        let [nothing_s, eight_s, one_s] = [nothing, eight, one].map(|time| time.as_secs_f64());
        eprintln!(
            "{}: 8 ranks start, make a step and end in {eight_s:.2} s; 8 times `true` takes {nothing_s:.2} s, \
             and one rank alone {one_s:.2} s",
            start.name()
        );
        assert!(eight < nothing + one + START + SLACK, "{eight:?}, {nothing:?}, {one:?}");
    }
}
