//! Runs programs on NVIDIA GPUs.
//!
//! Every node becomes launches of our own kernels (`kernels/*.cu`, as PTX in this crate), once, when a tape
//! is loaded; each program is captured as one CUDA graph and then only replayed. All memory is one
//! block whose layout is known before a device is touched ([`bytes`]). The driver and NCCL are opened when
//! they are first needed: a build of Duel runs on machines that have neither.

mod arms;
mod arrive;
mod builder;
mod clock;
mod division;
mod error;
mod executor;
mod expr;
mod gpu;
mod kernels;
mod launch;
mod loaded;
mod nccl;
mod place;
mod plan;
mod precision;
mod probe;
mod program;
mod ring;
mod tensor;
mod wait;
mod weights;

pub use cudarc::driver::CudaStream as Stream;

pub use builder::{Card, Math};
pub use error::CudaError;
pub use executor::{Cuda, Settings};
pub use kernels::{Entry, Module, compile_all, entries};
pub use nccl::{AllReduce, Communicator, NcclError, UniqueId, version as nccl_version};
pub use plan::bytes;
pub use precision::Precision;
pub use probe::{Found, device, devices, driver};
