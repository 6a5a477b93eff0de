//! Sums over ranks, and the only place that knows NCCL.
//!
//! NCCL is opened when it is first needed. cudarc's own loader asks for `libnccl.so`, which only development
//! packages have, and panics where a symbol is missing, so the dozen calls that we need are looked up
//! here ([`library`]). A [`Communicator`] never blocks: whatever NCCL begins is asked about until it
//! is done or a deadline has passed, because a peer that died says nothing.

mod communicator;
mod error;
mod library;
mod unique_id;
mod warm_up;

use crate::error::CudaError;
pub use communicator::Communicator;
use cudarc::driver::CudaStream;
pub use error::NcclError;
use library::Library;
use std::time::Duration;
pub use unique_id::UniqueId;

/// Sums over ranks, in the order of a stream.
pub trait AllReduce: Send + Sync {
    /// Puts the sum of `len` f32 numbers at `from`, over all ranks, to `to` on every rank. The two may
    /// be the same. May be captured into a graph.
    ///
    /// # Errors
    /// What the library reports at once; what happens later comes out where somebody waits.
    fn all_reduce(
        &self,
        from: u64,
        to: u64,
        len: usize,
        stream: &CudaStream,
    ) -> Result<(), CudaError>;

    /// Number of ranks.
    fn world(&self) -> usize;

    /// Asked again and again while the host waits for the device, with the time that it has waited so far:
    /// a sum whose peer is gone never ends by itself.
    ///
    /// # Errors
    /// Why there is nothing to wait for any more. The device gives its streams back then.
    fn check(&self, waited: Duration) -> Result<(), CudaError> {
        let _ = waited;
        Ok(())
    }
}

/// The version of NCCL that is found, major, minor and patch.
///
/// # Errors
/// No NCCL, or one older than 2.18, with what to do about it.
pub fn version() -> Result<[u32; 3], CudaError> {
    Ok(Library::get()?.version)
}
