//! Ranks that are started wrongly, or do not hold the same: whoever knows says so once, and all end.

use crate::alone;
use crate::job::{Ended, Job};
use crate::room::{ENDLESS, Fault, Room};
use crate::start::{Mpirun, Plain, Start, clean};
use collective::tcp::{At, Meeting, meet};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

/// Words for a rank, and variables with other values, or none.
type Own<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

/// Starts two ranks by hand, each with words and variables of its own.
fn two(job: &mut Job, plain: &Plain, room: &Room, each: [Own; 2]) {
    for (rank, (words, variables)) in each.into_iter().enumerate() {
        let mut command = plain.rank(rank, 2);
        let run = format!("train gaussian.yaml --out run --threads 1 {ENDLESS} {words}");
        command.args(run.split_whitespace()).current_dir(room.path(""));
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        job.start(&format!("rank {rank}"), command);
    }
}

/// All end with this status in time, and one error has these words; nothing was written.
#[track_caller]
fn refused(job: &mut Job, room: &Room, what: &str, code: i32, words: &[&str]) -> Vec<Ended> {
    let fault = Fault::now(what);
    let ended = job.end_in_time();
    fault.ended(&ended);
    job.nothing_is_left();
    let err: String = ended.iter().map(|ended| ended.err.as_str()).collect();
    for word in words {
        assert!(err.contains(word), "no `{word}` in:\n{}", job.told());
    }
    assert!(ended.iter().all(|ended| ended.code == code), "{}", job.told());
    assert!(!err.contains("panicked"), "{err}");
    assert!(!room.path("run").exists(), "nobody has begun a run");
    ended
}

#[test]
fn worlds_that_are_not_of_one_size() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    two(&mut job, &plain, &room, [("", &[]), ("", &[("WORLD_SIZE", Some("3"))])]);
    let words = ["rank 1 (host ", " says that there are 3 ranks, and rank 0 (host ", " says 2"];
    refused(&mut job, &room, "another world size on rank 1", 1, &words);
}

#[test]
fn a_rank_without_an_address() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    let none: &[_] = &[("MASTER_ADDR", None)];
    two(&mut job, &plain, &room, [("", none), ("", none)]);
    let words = ["rank 1 of 2 was started by torchrun, and nothing says where rank 0 is met"];
    refused(&mut job, &room, "no MASTER_ADDR", 1, &words);
}

#[test]
fn a_port_that_another_process_has() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    let _taken = TcpListener::bind(("127.0.0.1", plain.port())).expect("it was free");
    two(&mut job, &plain, &room, [("", &[]), ("", &[])]);
    let port = format!("rank 0 cannot listen at 127.0.0.1:{}", plain.port());
    refused(
        &mut job,
        &room,
        "a port in use",
        1,
        &[&port, "rank 1 of 2", "Set DUEL_PORT to a port"],
    );
}

#[test]
fn a_rank_that_does_not_come() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    for rank in [0, 2] {
        plain.start(&mut job, [rank, 3], &room, "train gaussian.yaml --out run");
    }
    let words = ["rank 1 of 3 did not come to rank 0 (host ", "here are rank 2 (host "];
    refused(&mut job, &room, "a rank that does not come", 1, &words);
}

#[test]
fn a_rank_that_comes_twice() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    for rank in [0, 1, 1] {
        plain.start(&mut job, [rank, 3], &room, "train gaussian.yaml --out run");
    }
    refused(&mut job, &room, "a rank that comes twice", 1, &["rank 1 came twice: process "]);
}

#[test]
fn experiments_that_differ() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    two(&mut job, &plain, &room, [("", &[]), ("--set seed=7", &[])]);
    let words = ["do not hold the same experiment", "rank 0 has `seed: 0`", "rank 1 has `seed: 7`"];
    refused(&mut job, &room, "another seed on rank 1", 1, &words);
}

#[test]
fn data_sets_that_differ() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, other) = (alone(), Room::new(), Room::with(201));
    let mut job = Job::strict();
    for (rank, room) in [&room, &other].into_iter().enumerate() {
        plain.start(&mut job, [rank, 2], room, "train dcgan.yaml --out run");
    }
    let words = ["images in the data set: 200`, and rank 1 has `images in the data set: 201`"];
    refused(&mut job, &room, "another data set on rank 1", 1, &words);
}

/// A rank of another version, as whoever meets rank 0 through the library can be.
#[test]
fn builds_that_differ() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    plain.start(&mut job, [0, 2], &room, "train gaussian.yaml --out run");
    let port = plain.port();
    let old = thread::spawn(move || {
        let wait = Duration::from_secs(20);
        meet(&Meeting {
            rank: 1,
            world: 2,
            at: At::Named { host: "127.0.0.1".to_string(), port },
            card: vec![("the version of duel".to_string(), "0.0.1".to_string())],
            arrival: wait,
            deadline: wait,
            stray: wait,
            key: None,
            last_words: |_| {},
        })
    });
    let words = ["ranks do not run the same", "the version of duel", "`0.0.1`"];
    refused(&mut job, &room, "another version as rank 1", 1, &words);
    let told = old.join().expect("no panic").err().expect("it is refused").to_string();
    assert!(told.contains("the version of duel"), "{told}");
}

#[test]
fn a_batch_that_the_ranks_do_not_share() {
    let Some(plain) = Plain::new() else { return };
    let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
    for rank in 0..3 {
        plain.start(&mut job, [rank, 3], &room, "train dcgan.yaml --out run");
    }
    let words = ["`batch`: found 16, expected a multiple of 3, the number of ranks; use 15 or 18"];
    refused(&mut job, &room, "a batch of 16 for 3 ranks", 1, &words);
}

#[test]
fn another_number_of_ranks_than_the_launchers() {
    for mpirun in Mpirun::all() {
        let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
        mpirun.ranks(&mut job, &room, 2, "train gaussian.yaml --out run --ranks 3");
        let words = ["`ranks` is 3, and ", " has started 2 ranks: leave `ranks` out, or start 3"];
        let what = format!("`ranks: 3` and 2 ranks under {}", mpirun.name());
        refused(&mut job, &room, &what, 1, &words);
    }
}

/// What would be so many runs of one rank each.
#[test]
fn a_library_of_another_mpi() {
    let (Some(mpich), Some(open_mpi)) = (Mpirun::mpich(), Mpirun::open_mpi()) else { return };
    for (launcher, other) in [(&mpich, &open_mpi), (&open_mpi, &mpich)] {
        let mpirun = launcher.told(&other.library);
        let (_alone, room, mut job) = (alone(), Room::new(), Job::strict());
        mpirun.ranks(&mut job, &room, 2, "train gaussian.yaml --out run");
        let library = other.library.display().to_string();
        let words = [&library[..], "is not the library of the launcher", "DUEL_MPI"];
        let what = format!("the other library under {}", mpirun.name());
        refused(&mut job, &room, &what, 1, &words);
    }
}

/// A rank that nobody told the number of ranks is not silently the only one.
#[test]
fn half_of_what_says_which_rank_it_is() {
    let (room, mut job) = (Room::new(), Job::strict());
    let mut command = clean(crate::DUEL);
    command.args("train gaussian.yaml --out run".split(' ')).env("RANK", "0");
    command.current_dir(room.path(""));
    job.start("a rank without a world", command);
    refused(&mut job, &room, "RANK alone", 1, &["RANK is set (to 0), and WORLD_SIZE is not"]);
}
