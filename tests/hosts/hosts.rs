//! Three hosts: ranks that are lost on one of them, and hosts that are cut off. Every rank ends, with the right
//! status and words, and the run goes on.
//!
//! They are slow and need root, so they run where `DUEL_HOSTS` is set, as `make test-hosts` does; `required` makes it
//! an error that hosts cannot be made.

use crate::job::{Ended, Job, signal};
use crate::losses::{Loss, endless, ends_in_time, goes_on};
use crate::network::Network;
use crate::room::{Fault, Room};
use crate::start::{Mpirun, Plain};
use crate::{BEYOND, DEADLINE, DUEL, SLACK, alone, left_out};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Words that give each of three ranks as much as the others.
const THIRDS: &str = "--set batch=24";

/// Hosts, where they are asked for and can be made.
fn network() -> Option<Network> {
    let asked = std::env::var("DUEL_HOSTS").ok();
    let made = match &asked {
        Some(_) => Network::new(3),
        None => Err("DUEL_HOSTS is not set; `make test-hosts` sets it".to_string()),
    };
    let why = match made {
        Ok(network) => return Some(network),
        Err(why) => why,
    };
    assert!(asked.is_none_or(|asked| asked != "required"), "no hosts can be made: {why}");
    left_out("ranks on several hosts", &why);
    None
}

/// What is lost.
#[derive(Clone, Copy)]
enum Fall {
    /// This rank, which has a host for itself.
    Rank(usize, Loss),
    /// The link of this rank's host.
    Link(usize),
}

impl Fall {
    fn name(self) -> String {
        match self {
            Self::Rank(rank, loss) => format!("rank {rank} {}", loss.name()),
            Self::Link(rank) => format!("the link of rank {rank}'s host cut"),
        }
    }

    fn rank(self) -> usize {
        match self {
            Self::Rank(rank, _) | Self::Link(rank) => rank,
        }
    }

    fn around(self) -> &'static [&'static str] {
        match self {
            Self::Rank(_, loss) => loss.around(),
            Self::Link(_) => &[],
        }
    }

    /// Lets it happen; returns the process that is lost.
    fn strike(self, network: &Network, job: &Job) -> u32 {
        let pid = job.rank(self.rank());
        match self {
            Self::Rank(_, loss) => loss.strike(pid),
            Self::Link(at) => network.cut(at),
        }
        pid
    }

    /// What others say of the rank, in one of these ways.
    fn words(self) -> &'static str {
        match self {
            Self::Rank(_, loss) => loss.words(),
            Self::Link(_) => Loss::Stopped.words(),
        }
    }
}

/// One rank on each host, started by hand.
fn by_hand(fall: Fall) {
    let (Some(network), Some(plain)) = (network(), Plain::new()) else { return };
    let (room, mut job) = (Room::new(), Job::strict());
    for rank in 0..3 {
        let one = plain.rank(rank, 3);
        let around = if rank == fall.rank() { fall.around() } else { &[] };
        let words: Vec<&str> = around.iter().copied().chain([DUEL]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command.envs(one.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("MASTER_ADDR", network.host(0)).current_dir(room.path(""));
        command.args(format!("{} {THIRDS} --threads 1", endless("run")).split(' '));
        job.start(&format!("rank {rank} on its host"), network.on(rank, &command));
    }
    room.wait_for_checkpoints(&mut job, "run", 1);
    let fault = Fault::now(format!("3 hosts by hand, {}", fall.name()));
    let pid = fall.strike(&network, &job);
    let stopped = matches!(fall, Fall::Rank(_, Loss::Stopped)).then_some(pid);
    let ended = ends_in_time(&mut job, &fault, stopped);
    let lost = fall.rank();
    for (rank, Ended { code, err, .. }) in ended.iter().enumerate() {
        match fall {
            Fall::Rank(_, loss) if rank == lost => {
                assert_eq!(*code, if loss == Loss::Left { 0 } else { 137 }, "{}", job.told());
            }
            // Whoever is cut off has lost the others.
            Fall::Link(_) if rank == lost => {
                assert_eq!(*code, 76, "{}", job.told());
                assert!(err.contains("rank ") && err.contains("silent for"), "{}", job.told());
            }
            _ => {
                assert_eq!(*code, 76, "rank {rank}\n{}", job.told());
                let whom = format!("rank {lost} (host {}", network.host(lost));
                for part in [&whom[..], fall.words()] {
                    assert!(err.contains(part), "rank {rank}: no `{part}`\n{}", job.told());
                }
            }
        }
    }
    goes_on(&room, "run", THIRDS);
}

/// One rank on each host, started by the launcher on the first one.
fn under(mpirun: &Mpirun, fall: Fall) {
    let Some(network) = network() else { return };
    let (room, mut job) = (Room::new(), Job::strict());
    let mut command = mpirun.over(&network);
    command.args(fall.around()).arg(DUEL).current_dir(room.path(""));
    command.args(format!("{} {THIRDS} --threads 1", endless("run")).split(' '));
    job.start("mpirun", network.on(0, &command));
    room.wait_for_checkpoints(&mut job, "run", 1);
    let fault = Fault::now(format!("3 hosts under {}, {}", mpirun.called(), fall.name()));
    let pid = fall.strike(&network, &job);
    let most = DEADLINE + BEYOND + SLACK;
    // One that was stopped cannot end, and not every launcher ends it on another host.
    let stopped = matches!(fall, Fall::Rank(_, Loss::Stopped));
    while job.ranks().iter().any(|(_, one)| !(stopped && *one == pid)) {
        assert!(fault.elapsed() < most, "ranks go on\n{}", job.told());
        sleep(Duration::from_millis(20));
    }
    fault.tell("all ranks that could had ended");
    match fall {
        Fall::Rank(..) => signal("KILL", &[pid]),
        // A connection of ssh's breaks (ServerAliveInterval), and that ends what it has started.
        Fall::Link(at) => signal("KILL", &network.processes(at)),
    }
    if matches!(fall, Fall::Link(_)) && !job.has_ended_within(BEYOND) {
        // MPICH's waits for a word from its own process there, for which it has no deadline: that is for the
        // batch system.
        fault.tell("the launcher itself waits on, and is ended");
        (0..3).for_each(|at| signal("KILL", &network.processes(at)));
    }
    let ended = job.end_within(most);
    fault.ended(&ended);
    let Ended { code, out, err, .. } = &ended[0];
    eprintln!("  and its status is {code}");
    assert_ne!(*code, 0, "{}", job.told());
    let lost = fall.rank();
    let said = out.clone() + err;
    if !matches!(fall, Fall::Rank(_, Loss::Killed)) {
        // What the others say of the first host does not reach the launcher there.
        let heard = if matches!(fall, Fall::Link(0)) { 1 } else { lost };
        let whom = format!("rank {heard} (host {}", network.host(heard));
        assert!(said.contains(&whom) && said.contains(fall.words()), "{}", job.told());
    }
    goes_on(&room, "run", THIRDS);
}

#[test]
fn ranks_are_lost() {
    let _alone = alone();
    for loss in Loss::ALL {
        by_hand(Fall::Rank(1, loss));
    }
}

#[test]
fn links_are_cut() {
    let _alone = alone();
    for at in [2, 0] {
        by_hand(Fall::Link(at));
    }
}

#[test]
fn launchers_lose_ranks_and_links() {
    let _alone = alone();
    for mpirun in Mpirun::all() {
        for loss in Loss::ALL {
            under(&mpirun.sparing(loss), Fall::Rank(1, loss));
        }
        for at in [2, 0] {
            under(&mpirun, Fall::Link(at));
        }
    }
}
