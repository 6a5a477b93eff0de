//! Why MPI cannot be served, with what to do about it.

use crate::Lost;
use crate::mpi::MpiError;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why ranks of MPI cannot meet without `mpiexec`.
#[derive(Debug, thiserror::Error)]
pub enum PmiError {
    /// There is no MPI.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// A peer is lost, or has another library.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// Open MPI is started by its own `mpirun` only.
    #[error(
        "{}: {version} finds its ranks only if its own mpirun has started them. Start with that mpirun, or \
         install MPICH (`pip install mpich`, `apt-get install mpich`), which needs none; DUEL_MPI names its \
         library if both are there",
        path.display()
    )]
    OpenMpi {
        /// The library.
        path: PathBuf,
        /// Its name and version.
        version: String,
    },
    /// Rank 0 cannot serve.
    #[error("rank 0 cannot serve MPI's ranks at {address}: {why}")]
    NoServer {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
    /// Rank 0 is not reached.
    #[error(
        "rank {rank} does not reach rank 0 at {address}, where that serves MPI's ranks: {why}. Ports other \
         than the one at which ranks meet have to be open between hosts: MPI itself needs them too"
    )]
    Unreachable {
        /// This rank.
        rank: usize,
        /// Where rank 0 is.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
}
