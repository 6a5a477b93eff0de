//! Ranks as processes, of which one is killed, stopped, or hangs. They are this test's own binary.

use crate::stage::*;
use collective::tcp::{At, TcpGroup, meet};
use collective::{Group, Place};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

/// What a rank is told by its environment.
const VARIABLES: [&str; 5] =
    ["TEST_RANK", "TEST_WORLD", "TEST_AT", "TEST_FOLDER", "TEST_BEHAVIOUR"];
/// How long ranks wait for each other.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// The status of those who lose a peer.
const LOST: i32 = 76;

/// Does nothing in a run of the tests; is a rank in a process that [`Rank::start`] has started.
#[test]
fn rank() {
    let told = VARIABLES.map(|name| env::var(name).ok());
    let [Some(rank), Some(world), Some(at), Some(folder), Some(behaviour)] = told else { return };
    if behaviour == "first-of-many" {
        meet(&meetings(40)[0]).map(drop).unwrap();
    }
    if behaviour == "many" {
        drop(groups(40, |_| {}));
        std::process::exit(0);
    }
    let at: SocketAddr = at.parse().unwrap();
    let mut meeting = meeting(rank.parse().unwrap(), world.parse().unwrap(), named(at));
    meeting.arrival = if behaviour == "seeks" { DEADLINE } else { ARRIVAL };
    meeting.deadline = if behaviour == "hangs-after-loss" { ARRIVAL } else { DEADLINE };
    meeting.last_words = match behaviour.as_str() {
        "hangs-and-chokes" => |_| thread::sleep(Duration::from_secs(600)),
        _ => |words| eprintln!("{words}"),
    };
    if let At::Named { host, .. } = &mut meeting.at
        && behaviour == "by-name"
    {
        *host = "localhost".to_string();
    }
    let group = meet(&meeting).unwrap();
    std::process::exit(behave(&group, &behaviour, Path::new(&folder)))
}

fn behave(group: &TcpGroup, behaviour: &str, folder: &Path) -> i32 {
    let file = |what: &str| folder.join(format!("{what}-{}", group.rank()));
    let place = Place { program: "d_step".to_string(), operation: "%3 = all_reduce".to_string() };
    for step in 1.. {
        group.step(step);
        if let Err(lost) = group.check() {
            fs::write(file("lost"), lost.message).unwrap();
            return LOST;
        }
        if step == 30 {
            fs::write(file("ready"), "").unwrap();
        }
        if folder.join("go").exists() {
            match behaviour {
                "exits" => return 0,
                "hangs" | "hangs-and-chokes" | "hangs-after-loss" => {
                    group.step(1000);
                    group.enter_place(&Arc::new(place));
                    fs::write(file("hangs"), "").unwrap();
                    thread::sleep(Duration::from_secs(600));
                    return 0;
                }
                "parts" => {
                    group.part().unwrap();
                    return 0;
                }
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    0
}

/// A process that is a rank, killed at the latest when it is dropped.
pub struct Rank {
    rank: usize,
    child: Child,
    folder: PathBuf,
}

impl Rank {
    /// Below this command, if there is one.
    pub fn start(
        below: &[&str],
        rank: usize,
        world: usize,
        at: SocketAddr,
        folder: &Path,
        behaviour: &str,
    ) -> Self {
        let this = env::current_exe().unwrap();
        let mut command = match below {
            [] => Command::new(this),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(this);
                command
            }
        };
        let told = [&rank.to_string(), &world.to_string(), &at.to_string()];
        let told = told.map(|text| text.to_string());
        let [rank_is, world_is, at_is] = told;
        let told = [rank_is, world_is, at_is, folder.display().to_string(), behaviour.to_string()];
        let errors = fs::File::create(folder.join(format!("stderr-{rank}"))).unwrap();
        let child = command
            .args(["processes::rank", "--exact", "--nocapture", "--test-threads=1"])
            .envs(VARIABLES.iter().zip(told))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        Self { rank, child, folder: folder.to_path_buf() }
    }

    /// Waits until it is at work.
    pub fn ready(&mut self) {
        self.reached("ready");
    }

    /// Waits until it says so.
    fn reached(&self, what: &str) {
        let end = Instant::now() + ARRIVAL;
        while !self.folder.join(format!("{what}-{}", self.rank)).exists() {
            assert!(Instant::now() < end, "rank {} is not {what}: {}", self.rank, self.said());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ends, within so long.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "rank {} goes on after {within:?}", self.rank);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has learned, after it has ended with status 76 within so long.
    pub fn lost(&mut self, within: Duration) -> String {
        let code = self.ended(within).code();
        assert_eq!(code, Some(LOST), "rank {}: {}", self.rank, self.said());
        fs::read_to_string(self.folder.join(format!("lost-{}", self.rank))).unwrap_or_default()
    }

    /// Its standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.join(format!("stderr-{}", self.rank))).unwrap_or_default()
    }

    fn name(&self) -> String {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("rank {} (host {host}, process {})", self.rank, self.child.id())
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ranks that are at work, and then behave so.
fn start(folder: &Path, behaviours: &[&str]) -> Vec<Rank> {
    let (at, world) = (unused(), behaviours.len());
    let ranks = behaviours.iter().enumerate();
    let mut ranks: Vec<_> =
        ranks.map(|(rank, how)| Rank::start(&[], rank, world, at, folder, how)).collect();
    ranks.iter_mut().for_each(Rank::ready);
    fs::write(folder.join("go"), "").unwrap();
    ranks
}

#[test]
fn processes_meet_and_part() {
    let folder = tempfile::tempdir().unwrap();
    for mut rank in start(folder.path(), &["parts"; 3]) {
        assert_eq!(rank.ended(SLACK).code(), Some(0), "{}", rank.said());
    }
}

#[test]
fn a_rank_that_is_killed_is_lost_at_once() {
    for killed in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut ranks = start(folder.path(), &["works"; 3]);
        let name = ranks[killed].name();
        ranks[killed].signal("-KILL");
        ranks.remove(killed);
        for rank in &mut ranks {
            // Long before the deadline, were it not for a busy machine.
            assert_told(&rank.lost(DEADLINE + SLACK), &[&name, "left early, in step"]);
        }
    }
}

#[test]
fn a_rank_that_exits_too_early_is_lost_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = start(folder.path(), &["works", "works", "exits"]);
    let name = ranks[2].name();
    assert_eq!(ranks[2].ended(SLACK).code(), Some(0));
    for rank in &mut ranks[..2] {
        assert_told(&rank.lost(DEADLINE + SLACK), &[&name, "left early, in step"]);
    }
}

#[test]
fn a_rank_that_is_stopped_is_lost_after_the_deadline() {
    for stopped in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut ranks = start(folder.path(), &["works"; 3]);
        let name = ranks[stopped].name();
        let begun = Instant::now();
        ranks[stopped].signal("-STOP");
        for other in (0..3).filter(|rank| *rank != stopped) {
            let lost = ranks[other].lost(DEADLINE + SLACK);
            assert!(begun.elapsed() >= DEADLINE - Duration::from_secs(1));
            assert_told(&lost, &[&name, "has been silent for", "It was last in step"]);
        }
        // Let go on, it learns that the others do not.
        ranks[stopped].signal("-CONT");
        assert_ne!(ranks[stopped].lost(DEADLINE + SLACK), "");
    }
}

#[test]
fn a_rank_that_hangs_in_a_library_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut ranks = start(folder.path(), &["works", "hangs"]);
    let name = ranks[1].name();
    ranks[1].lost(DEADLINE + Duration::from_secs(3) + SLACK);
    assert!(begun.elapsed() >= DEADLINE + Duration::from_secs(3));
    let said = ranks[1].said();
    assert_told(&said, &[&name, "step 1000", "`%3 = all_reduce` of program `d_step`", "status 76"]);
    assert_told(
        &said,
        &["Of all ranks: rank 0 in step", "not waiting; rank 1 in step 1000, waiting for"],
    );
    assert_told(&ranks[0].lost(SLACK), &[&name, "left early, in step 1000, waiting for", "d_step"]);
}

#[test]
fn last_words_that_nobody_takes_do_not_keep_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = start(folder.path(), &["works", "hangs-and-chokes"]);
    ranks[1].lost(DEADLINE + Duration::from_secs(3 + 2) + SLACK);
}

#[test]
fn a_rank_that_hangs_after_a_loss_is_ended_before_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = start(folder.path(), &["hangs-after-loss", "hangs-after-loss"]);
    let name = ranks[1].name();
    ranks[0].reached("hangs");
    ranks[1].signal("-KILL");
    ranks[0].lost(Duration::from_secs(5) + SLACK);
    let said = ranks[0].said();
    assert_told(&said, &["rank 0 (", "is known for", &name, "left early", "status 76"]);
}

#[test]
fn ranks_meet_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut ranks: Vec<_> =
        (0..2).map(|rank| Rank::start(&[], rank, 2, at, folder.path(), "by-name")).collect();
    ranks.iter_mut().for_each(Rank::ready);
}

#[test]
fn many_ranks_need_many_open_files() {
    // A limit that can be raised, and one that cannot.
    for (limit, behaviour, code) in [("-Sn 48", "many", 0), ("-n 48", "first-of-many", 101)] {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
        let below = ["sh", "-c", &script];
        let mut rank = Rank::start(&below, 0, 1, unused(), folder.path(), behaviour);
        assert_eq!(rank.ended(ARRIVAL).code(), Some(code), "{}", rank.said());
        if code != 0 {
            assert_told(&rank.said(), &["may have 48 open files", "needs 104", "ulimit -Hn"]);
        }
    }
}
