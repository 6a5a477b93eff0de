//! Ranks that die, stop, leave or cannot write, on one machine: the others notice, say whom, and end; nothing is
//! lost but the steps since the last checkpoint.

use crate::job::{Ended, Job, signal};
use crate::room::{CHECKPOINT, ENDLESS, Fault, Room};
use crate::start::{Mpirun, Plain, Srun, Start};
use crate::{BEYOND, DEADLINE, DUEL, SLACK, alone, left_out};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What happens to a rank.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Stopped,
    /// It ends with status 0 and without a word, as far as others can tell.
    Left,
}

impl Loss {
    pub const ALL: [Self; 3] = [Self::Killed, Self::Stopped, Self::Left];

    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Left => "left with status 0",
        }
    }

    /// Lets it happen.
    pub fn strike(self, pid: u32) {
        match self {
            Self::Killed | Self::Left => signal("KILL", &[pid]),
            Self::Stopped => signal("STOP", &[pid]),
        }
    }

    /// What the others say of it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Killed | Self::Left => "left early, in step",
            Self::Stopped => "has been silent for",
        }
    }

    /// A program that runs another one, and turns its end into this loss.
    pub fn around(self) -> &'static [&'static str] {
        match self {
            Self::Left => &["sh", "-c", "\"$@\"; exit 0", "sh"],
            _ => &[],
        }
    }
}

/// Words of a run that goes on until something happens.
pub fn endless(run: &str) -> String {
    format!("train dcgan.yaml --out {run} {ENDLESS}")
}

/// What remains of the run goes on as one rank and ends where an undisturbed one does that was started with
/// these settings.
pub fn goes_on(room: &Room, run: &str, sets: &str) {
    let total = room.shorten(run, 2 * CHECKPOINT);
    room.one_rank(&format!("resume {run}"));
    let whole = format!("{run}-whole");
    room.one_rank(&format!("{} {sets} --set images={total}", endless(&whole)));
    room.same(run, &whole);
}

/// All ranks end in time after a fault, and leave nothing; who is `stopped` cannot end by itself.
pub fn ends_in_time(job: &mut Job, fault: &Fault, stopped: Option<u32>) -> Vec<Ended> {
    if let Some(pid) = stopped {
        // Whoever started it would have to see to that.
        job.until("the others' end", |job| job.ranks().len() == 1);
        signal("KILL", &[pid]);
    }
    let ended = job.end_in_time();
    let took = fault.ended(&ended);
    assert!(took < DEADLINE + BEYOND + SLACK, "{took:?}");
    job.nothing_is_left();
    ended
}

/// Three ranks by hand, of which one is lost: each tells of it.
fn is_noticed_by_hand(loss: Loss, lost: usize) {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    let words = endless("run") + " --set batch=24";
    for rank in 0..3 {
        let mut command = plain.rank(rank, 3);
        if rank == lost && !loss.around().is_empty() {
            let mut around = Command::new(loss.around()[0]);
            around.args(&loss.around()[1..]).arg(DUEL);
            around.env_clear();
            around.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = around;
        }
        command.args(words.split_whitespace()).args(["--threads", "1"]);
        command.current_dir(room.path(""));
        job.start(&format!("rank {rank} of 3"), command);
    }
    room.wait_for_checkpoints(&mut job, "run", 1);
    let fault = Fault::now(format!("rank {lost} of 3 by hand: {}", loss.name()));
    let pid = job.rank(lost);
    loss.strike(pid);
    let stopped = (loss == Loss::Stopped).then_some(pid);
    let ended = ends_in_time(&mut job, &fault, stopped);
    for (rank, Ended { code, err, .. }) in ended.iter().enumerate() {
        if rank == lost {
            assert_eq!(*code, if loss == Loss::Left { 0 } else { 137 });
            continue;
        }
        assert_eq!(*code, 76, "rank {rank}\n{}", job.told());
        for part in [format!("rank {lost} (host "), loss.words().to_string()] {
            assert!(err.contains(&part), "rank {rank}: no `{part}`\n{}", job.told());
        }
    }
    goes_on(&room, "run", "--set batch=24");
}

#[test]
fn a_rank_is_killed() {
    is_noticed_by_hand(Loss::Killed, 1);
}

#[test]
fn a_rank_is_stopped() {
    is_noticed_by_hand(Loss::Stopped, 1);
}

#[test]
fn a_rank_leaves_early() {
    is_noticed_by_hand(Loss::Left, 2);
}

#[test]
fn the_first_rank_is_killed() {
    is_noticed_by_hand(Loss::Killed, 0);
}

#[test]
fn the_first_rank_is_stopped() {
    is_noticed_by_hand(Loss::Stopped, 0);
}

/// Under a launcher: it ends, with a status that is not 0, and somebody says whom it was about.
fn is_noticed_under(start: &dyn Start, loss: Loss) {
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    let mut command = start.command(2);
    command.args(loss.around()).arg(DUEL).args(endless("run").split_whitespace());
    command.args(["--threads", "1"]).current_dir(room.path(""));
    job.start(&start.name(), command);
    room.wait_for_checkpoints(&mut job, "run", 1);
    let fault = Fault::now(format!("rank 1 of 2 under {}: {}", start.name(), loss.name()));
    let pid = job.rank(1);
    loss.strike(pid);
    let ended = job.end_in_time();
    fault.ended(&ended);
    job.nothing_is_left();
    let Ended { code, out, err, .. } = &ended[0];
    let err = out.clone() + err;
    eprintln!("  and its status is {code}");
    assert_ne!(*code, 0, "{}", job.told());
    let told = err.contains("rank 1 (host ") && err.contains(loss.words());
    // Where a launcher sees it, it may have ended the others before they could say anything.
    let names = [&pid.to_string()[..], "rank 1 with PID", "task 1: Killed"];
    let banner = names.iter().any(|name| err.contains(name));
    assert!(told || loss != Loss::Stopped && banner, "{}", job.told());
    goes_on(&room, "run", "");
}

#[test]
fn launchers_lose_a_rank() {
    for mpirun in Mpirun::all() {
        for loss in Loss::ALL {
            is_noticed_under(&mpirun.sparing(loss), loss);
        }
    }
}

#[test]
fn srun_loses_a_rank() {
    let Some(srun) = Srun::new("none") else { return };
    for loss in [Loss::Killed, Loss::Stopped] {
        is_noticed_under(&srun, loss);
    }
}

/// A small file system; it goes away with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).expect("a folder");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(at.to_path_buf())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
            Err(why) => Err(why.to_string()),
        }
    }

    /// Fills it up.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).expect("there is room yet");
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn the_disk_of_the_first_rank_fills_up() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    let disk = match SmallDisk::mount(&room.path("small")) {
        Ok(disk) => disk,
        Err(why) => return left_out("a disk that fills up", &why),
    };
    for rank in 0..3 {
        plain.start(&mut job, [rank, 3], &room, &(endless("small/run") + " --set batch=24"));
    }
    room.wait_for_checkpoints(&mut job, "small/run", 1);
    disk.fill();
    let fault = Fault::now("the disk of rank 0 full (noticed at the next checkpoint)");
    let ended = job.end();
    fault.ended(&ended);
    job.nothing_is_left();
    assert!(ended.iter().all(|ended| ended.code == 1), "{}", job.told());
    let first = &ended[0].err;
    assert!(first.contains("small/run") && first.contains("No space left"), "{}", job.told());
    // Whoever fails says so; the others do not say it again.
    assert_eq!((&ended[1].err[..], &ended[2].err[..]), ("", ""), "{}", job.told());
}
