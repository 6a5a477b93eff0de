//! The recipes of `experiments/launch`: the same line begins a run and goes on with it.

use crate::job::{Job, signal};
use crate::room::{CHECKPOINT, ENDLESS, Room};
use crate::start::{Mpirun, Torchrun, clean};
use crate::{DUEL, alone};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::duel;

fn recipe(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ has a parent").join("experiments/launch").join(name)
}

/// A room with an experiment that does not end by itself, and `duel` in a folder of programs.
fn room() -> Room {
    let room = Room::new();
    let text = duel::DCGAN.replace("images: 960", "images: 100000000");
    room.place.write("endless.yaml", format!("{}\nprecision: f64\n", text.trim_end()));
    std::fs::create_dir(room.path("bin")).expect("a folder");
    std::os::unix::fs::symlink(DUEL, room.path("bin/duel")).expect("a link");
    room
}

/// A recipe as it is called in the room, with these folders of programs before all others.
fn call(room: &Room, name: &str, words: &str, programs: &Path) -> Command {
    let mut command = clean("bash");
    let path = std::env::var("PATH").expect("there is one");
    let path = format!("{}:{}:{path}", room.path("bin").display(), programs.display());
    command.env("PATH", path).arg(recipe(name)).args(words.split_whitespace());
    command.current_dir(room.path(""));
    command
}

/// That the run is the one that nobody has disturbed.
fn is_whole(room: &Room, total: u64) {
    room.one_rank(&format!("train dcgan.yaml --out whole {ENDLESS} --set images={total}"));
    room.same("run", "whole");
}

#[test]
fn mpirun() {
    for mpirun in Mpirun::all() {
        let (_alone, room) = (alone(), room());
        let programs = mpirun.program().parent().expect("bin").to_path_buf();
        let command = || {
            let mut command = call(&room, "mpirun.sh", "2 endless.yaml run", &programs);
            mpirun.set(&mut command);
            command
        };
        let mut job = Job::new();
        job.start("mpirun.sh", command());
        room.wait_for_checkpoints(&mut job, "run", 1);
        signal("USR1", &[job.rank(1)]);
        assert_eq!(job.end()[0].code, 75, "{}", job.told());
        let total = room.shorten("run", CHECKPOINT);
        let mut job = Job::new();
        job.start("mpirun.sh, again", command());
        let ended = job.end();
        assert_eq!((ended[0].code, &ended[0].out[..]), (0, "run\n"), "{}", job.told());
        job.nothing_is_left();
        is_whole(&room, total);
    }
}

/// A rank is killed, and torchrun starts all of them again.
#[test]
fn torchrun() {
    let Some(torchrun) = Torchrun::new() else { return };
    let (_alone, room) = (alone(), room());
    let words = "endless.yaml run --standalone --nproc-per-node 2";
    let mut command = call(&room, "torchrun.sh", words, torchrun.programs());
    torchrun.set(&mut command);
    let mut job = Job::new();
    job.start("torchrun.sh", command);
    room.wait_for_checkpoints(&mut job, "run", 1);
    // Read when it goes on, and far enough that it is not there yet.
    let total = room.shorten("run", 6 * CHECKPOINT);
    signal("KILL", &[job.rank(1)]);
    let ended = job.end();
    assert_eq!((ended[0].code, &ended[0].out[..]), (0, "run\n"), "{}", job.told());
    job.nothing_is_left();
    is_whole(&room, total);
}

/// Shells can read them; what follows is what they are about.
#[test]
fn scripts_are_whole() {
    for name in ["mpirun.sh", "torchrun.sh", "slurm.sbatch"] {
        let read = clean("bash").arg("-n").arg(recipe(name)).output().expect("bash is there");
        assert!(read.status.success(), "{name}: {}", String::from_utf8_lossy(&read.stderr));
        let unasked = clean("bash").arg(recipe(name)).output().expect("bash is there");
        let told = String::from_utf8_lossy(&unasked.stderr).to_string();
        assert_eq!(unasked.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains("found 0 words, expected"), "{name}: {told}");
    }
}
