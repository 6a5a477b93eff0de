//! What can go wrong with MPI, each with what to do about it.

use std::path::PathBuf;

/// Where MPI comes from.
pub(crate) const INSTALL: &str = "Install one: `pip install mpich` into the environment that is active, or `apt-get install mpich` or \
     `libopenmpi3`. If it lies where nobody looks, set DUEL_MPI to the library or to its folder";

/// Why MPI cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MpiError {
    /// There is none.
    #[error("no MPI library was found. Tried: {tried}. {INSTALL}")]
    Absent {
        /// What was looked for, and why it was not good.
        tried: String,
    },
    /// `DUEL_MPI` leads nowhere.
    #[error(
        "DUEL_MPI is `{given}`, and that is not MPI: {why}. It is the path of an MPI library, such as \
         libmpi.so.12 or libmpi.so.40, or of the folder that holds it"
    )]
    NotThere {
        /// The variable.
        given: String,
        /// What was found there.
        why: String,
    },
    /// An MPI whose constants are not known.
    #[error(
        "{}: this is an MPI of a kind that is not known: {version}. Known are MPICH and what has its \
         binary interface (Intel MPI, MVAPICH, Cray MPI), Open MPI, and all that have the standard's \
         (libmpi_abi.so.1). {INSTALL}",
        path.display()
    )]
    Unknown {
        /// The library.
        path: PathBuf,
        /// What it says about itself.
        version: String,
    },
    /// The library does not know the ranks that the launcher has started.
    #[error(
        "{} ({version}) is not the library of the launcher ({launcher}), which has started {} ranks and this \
         one as rank {}{}. {fix}",
        path.display(), expected.1, expected.0, as_found(*found)
    )]
    OtherLauncher {
        /// The library.
        path: PathBuf,
        /// What it says about itself.
        version: String,
        /// Rank and number of ranks as MPI has them, if it could be asked.
        found: Option<(usize, usize)>,
        /// Rank and number of ranks as the launcher has them.
        expected: (usize, usize),
        /// The launcher, as far as its variables tell it.
        launcher: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// MPI can be started only once.
    #[error("MPI has been started in this process before, and that can be done only once")]
    Again,
    /// It has been ended.
    #[error("MPI has been ended in this process")]
    Ended,
    /// It was given up after a failure.
    #[error("MPI is not called any more, since {why}")]
    Left {
        /// The failure.
        why: String,
    },
    /// Not all ranks came.
    #[error(
        "rank {rank} of {world} waited {seconds} s for the others while {doing} by MPI. Look at what they say"
    )]
    Late {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// How long it waited.
        seconds: u64,
        /// What was being done.
        doing: &'static str,
    },
    /// Any other answer.
    #[error("{doing}: MPI says: {why}")]
    Refused {
        /// What was being done.
        doing: String,
        /// What MPI said.
        why: String,
    },
}

/// What MPI knows about the ranks.
fn as_found(found: Option<(usize, usize)>) -> String {
    found.map_or_else(String::new, |(rank, world)| {
        format!(": MPI knows of {world}, and this one as rank {rank}")
    })
}
