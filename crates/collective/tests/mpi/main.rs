//! MPI's engine under real launchers: MPICH's and Open MPI's from PyPI, which `tests/mpi/setup.sh` of the
//! workspace installs, and what lies in `/usr/bin`. `DUEL_MPIS` names the folder, or is `required`, in which
//! case it is an error if they are not there.

mod case;
mod folder;
mod launch;

use launch::{boot, mpis};

/// Words of a rank that waits in vain.
const WAITED: &str = "waited 3.0 s for the others in `never` of program `test`";

#[test]
fn sums_are_right_and_have_the_same_bits() {
    for mpi in mpis() {
        let [first, again, three] =
            [2, 2, 3].map(|ranks| mpi.run("sums", ranks).succeeded().bits());
        assert_eq!(first, again, "{}: other bits in another run", mpi.name);
        assert_ne!(first, three, "{}: three ranks add up three numbers", mpi.name);
    }
}

#[test]
fn ranks_that_do_different_things_are_told() {
    let cases = [
        ("lengths", "the ranks add up between 5000 and 50000 there"),
        ("places", "another rank is elsewhere"),
        ("types", "another rank is elsewhere or has numbers of another type"),
    ];
    for mpi in mpis() {
        for (case, words) in cases {
            mpi.run(case, 2).failed().says(words);
        }
    }
}

#[test]
fn a_rank_that_stands_still_ends_all() {
    for mpi in mpis() {
        mpi.run("stopped", 3).failed().says(WAITED).nothing_is_left();
    }
}

#[test]
fn a_rank_that_dies_ends_all() {
    for mpi in mpis() {
        mpi.run("gone", 3).failed().nothing_is_left();
    }
}

#[test]
fn a_library_of_another_mpi_is_told() {
    let all = mpis();
    for mpi in &all {
        let others = all.iter().filter(|other| other.open != mpi.open);
        for other in others.take(1) {
            let ended = mpi.with(&other.library).run("sums", 2);
            ended.failed().says("is not the library of the launcher");
            ended.says("which has started 2 ranks and this one as rank 1");
            ended.says(if mpi.open { "libmpi.so.40" } else { "libmpi.so.12" });
        }
    }
}

#[test]
fn mpich_needs_no_launcher() {
    for mpi in mpis().iter().filter(|mpi| !mpi.open) {
        for ranks in [2, 4] {
            let bits: Vec<_> = boot(&vec![mpi; ranks], "sums")
                .iter()
                .map(|rank| rank.succeeded().bits())
                .collect();
            assert!(bits.windows(2).all(|two| two[0] == two[1]), "{}: {bits:?}", mpi.name);
        }
    }
}

#[test]
fn each_rank_tells_what_it_has_lost() {
    let Some(mpi) = mpis().into_iter().find(|mpi| !mpi.open) else { return };
    let cases = [
        ("late", 76, WAITED),
        ("gone", 76, WAITED),
        ("failed", 3, "rank 2: something else is wrong"),
        ("absent", 76, "waited 3 s for MPI to start"),
    ];
    for (case, status, words) in cases {
        let ended = boot(&[&mpi; 3], case);
        for rank in &ended[..2] {
            rank.says(words);
            assert_eq!(rank.status, Some(status), "{case}: {}", rank.output);
        }
    }
}

#[test]
fn open_mpi_asks_for_its_launcher() {
    for mpi in mpis().iter().filter(|mpi| mpi.open) {
        for rank in boot(&[mpi; 2], "sums") {
            rank.failed().says("finds its ranks only if its own mpirun has started them");
        }
    }
}

#[test]
fn all_ranks_need_the_same_library() {
    let all = mpis();
    let of = |name: &str| all.iter().find(|mpi| !mpi.open && mpi.name.starts_with(name));
    let (Some(one), Some(other)) = (of("PyPI"), of("the system")) else {
        eprintln!("only one version of MPICH is there; two were not tried");
        return;
    };
    for rank in boot(&[one, other], "sums") {
        rank.says("rank 1 (host").says("has another MPI library than rank 0 (host");
        rank.failed();
    }
}
