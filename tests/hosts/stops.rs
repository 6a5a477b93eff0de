//! SIGUSR1 and SIGTERM, to one rank, to all, or to the launcher: all ranks stop in the same step, there is one
//! checkpoint, the status is 75, and the run goes on with any number of ranks as if nothing had happened.

use crate::alone;
use crate::job::{Job, signal};
use crate::losses::endless;
use crate::room::{CHECKPOINT, ENDLESS, Fault, Room};
use crate::start::{Mpirun, Plain, Srun, Start, Torchrun};

/// Who gets the signal.
#[derive(Clone, Copy, Debug)]
enum To {
    /// The last rank alone.
    One,
    /// All ranks.
    All,
    /// The launcher.
    Launcher,
}

/// Two ranks that a signal stops; the room with what they leave, and the launcher's status.
fn stopped(start: &dyn Start, name: &str, to: To) -> (Room, Vec<i32>) {
    let (room, mut job) = (Room::new(), Job::new());
    start.ranks(&mut job, &room, 2, &endless("run"));
    room.wait_for_checkpoints(&mut job, "run", 1);
    let ranks: Vec<u32> = job.ranks().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(ranks.len(), 2, "{}", job.told());
    let fault = Fault::now(format!("SIG{name} to {to:?} under {}", start.name()));
    match to {
        To::One => signal(name, &ranks[1..]),
        To::All => signal(name, &ranks),
        To::Launcher => signal(name, &[job.pid(0)]),
    }
    let ended = job.end();
    fault.ended(&ended);
    job.nothing_is_left();
    let codes: Vec<i32> = ended.iter().map(|ended| ended.code).collect();
    eprintln!("  and the status is {codes:?}");
    assert!(codes.iter().all(|code| *code != 0), "{}", job.told());
    // The first rank says where it stopped, and that is where the last checkpoint is.
    let last = *room.checkpoints("run").last().expect("a checkpoint");
    let err: String = ended.iter().map(|ended| ended.err.as_str()).collect();
    let told = format!("stopped after {last} images; `duel resume run` goes on");
    assert_eq!(err.matches(&told).count(), 1, "no `{told}`\n{}", job.told());
    let out: String = ended.iter().map(|ended| ended.out.as_str()).collect();
    assert_eq!(out, "run\n", "{}", job.told());
    (room, codes)
}

/// What a launcher makes of 75.
fn ends_with_75(start: Option<impl Start>, signals: &[(&str, To)]) {
    let Some(start) = start else { return };
    let _alone = alone();
    for (name, to) in signals {
        let (_, codes) = stopped(&start, name, *to);
        assert!(codes.iter().all(|code| *code == 75), "SIG{name} to {to:?}: {codes:?}");
    }
}

#[test]
fn under_mpich() {
    let signals = [("USR1", To::One), ("USR1", To::Launcher), ("TERM", To::Launcher)];
    ends_with_75(Mpirun::mpich(), &signals);
}

#[test]
fn under_open_mpi() {
    ends_with_75(Mpirun::open_mpi(), &[("USR1", To::One), ("USR1", To::Launcher)]);
}

#[test]
fn by_hand() {
    ends_with_75(Plain::new(), &[("TERM", To::One), ("USR1", To::All), ("TERM", To::All)]);
}

#[test]
fn under_srun() {
    ends_with_75(Srun::new("none"), &[("USR1", To::One)]);
}

/// Its own status is 1 whatever a rank's is.
#[test]
fn under_torchrun() {
    let Some(start) = Torchrun::new() else { return };
    let _alone = alone();
    let (_, codes) = stopped(&start, "USR1", To::All);
    assert_eq!(codes, [1]);
}

#[test]
fn a_run_goes_on_with_any_number_of_ranks() {
    let Some(plain) = Plain::new() else { return };
    let _alone = alone();
    let (room, _) = stopped(&plain, "USR1", To::One);
    let total = room.shorten("run", CHECKPOINT);
    let whole = format!("train dcgan.yaml {ENDLESS} --set images={total} --out");
    room.ranks(&plain, 2, &format!("{whole} whole-2"));
    room.one_rank(&format!("{whole} whole-1"));
    let same = |start: &dyn Start, world: usize| {
        let run = format!("run-{world}");
        room.place.copy("run", &run);
        room.ranks(start, world, &format!("resume {run}"));
        room.same(&run, "whole-1");
        run
    };
    // As many as before: the same bits.
    let run = same(&plain, 2);
    room.equal(&run, "whole-2");
    for (mpirun, world) in Mpirun::all().iter().zip([4, 8]) {
        same(mpirun, world);
    }
    room.place.copy("run", "run-1");
    room.one_rank("resume run-1");
    room.same("run-1", "whole-1");
}
