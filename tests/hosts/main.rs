//! The real binary as many ranks, as people start them: under launchers, in plain shells, on several hosts.
//!
//! Needs Linux and, for most of it, the two MPIs that `tests/mpi/setup.sh` puts into `target/mpi` or the folder
//! that `DUEL_MPIS` names; `DUEL_MPIS=required` makes it an error that they are not there. What else is missing
//! (PyTorch for `torchrun`, Slurm, root for disks that are full and for hosts of their own) is left out, loudly.
#![cfg(target_os = "linux")]

/// Ranks that do not fit together, or are started wrongly: one clear error, and all end.
mod bad_start;
/// Networks of hosts on this machine, and what is lost on them.
mod hosts;
/// Processes that belong together.
mod job;
/// The same parameters under every launcher; how long it takes to start.
mod launchers;
/// Ranks that die, stop, leave or cannot write: the others notice.
mod losses;
/// Hosts of their own: namespaces for network and name.
mod network;
/// The recipes of `experiments/launch`.
mod recipes;
/// Experiments, runs, and what is in their checkpoints.
mod room;
/// How ranks are started.
mod start;
/// Signals: one checkpoint, status 75, and the run goes on with any number of ranks.
mod stops;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// How long ranks wait for each other in these tests, for `DUEL_DEADLINE`.
const DEADLINE: Duration = Duration::from_secs(4);
/// How long all of them may take to end once something is wrong, beyond the deadline.
const BEYOND: Duration = Duration::from_secs(5);
/// What a busy machine may add to any time that is asserted.
const SLACK: Duration = Duration::from_secs(10);

/// One job at a time: ranks that are starved by others look as if they had been stopped.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says on standard error that something was not tested, and why; once.
fn left_out(what: &str, why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let words = format!("LEFT OUT: {what}: {why}");
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(words.clone()) {
        eprintln!("{words}");
    }
}
