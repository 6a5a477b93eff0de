//! MPI, bound at run time: a build needs none, and one binary runs under MPICH, Intel MPI, Open MPI and
//! whatever has the standard's binary interface.
//!
//! [`Mpi`] is a rank's membership, [`MpiEngine`] adds up over it. MPI has no way to go on without a rank,
//! and ending it waits for all: after a failure a process ends without [`Mpi::finalize`].

mod engine;
mod error;
mod inside;
mod interface;
pub(crate) mod library;
mod patience;
mod places;
mod process;
mod sums;
mod tuning;
mod watch;

pub use engine::MpiEngine;
pub use error::MpiError;
pub use process::Mpi;
