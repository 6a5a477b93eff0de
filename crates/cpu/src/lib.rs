//! Runs programs on cores.
//!
//! [`device`] gives an executor in f32 or f64 on the threads of a rayon pool. Work is split by the
//! shape of a problem, never by the number of threads, so the bytes of a result do not depend on it.

mod arms;
mod executor;
mod kept;
pub mod kernels;
mod memory;
mod pages;
mod speed;
mod sums;

use collective::Engine;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::sync::Arc;
use tape::Device;

pub use executor::{Cpu, working_bytes};
pub use speed::{Speed, speed};

/// The threads that an executor works with; 0 asks for one per core.
///
/// # Errors
/// The operating system refuses a thread.
pub fn pool(threads: usize) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
    let name = |i| format!("cpu-{i}");
    ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().map(Arc::new)
}

/// An executor whose reals have 4 or 8 bytes, for programs of one rank.
pub fn device(pool: Arc<ThreadPool>, real_bytes: usize) -> Box<dyn Device> {
    of_ranks(pool, real_bytes, None)
}

/// The same for one of several ranks, which adds up with the others by an engine.
pub fn of_ranks(
    pool: Arc<ThreadPool>,
    real_bytes: usize,
    engine: Option<Box<dyn Engine>>,
) -> Box<dyn Device> {
    match real_bytes {
        8 => Box::new(Cpu::<f64>::new(pool, engine)),
        _ => Box::new(Cpu::<f32>::new(pool, engine)),
    }
}
