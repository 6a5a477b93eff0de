//! The first sums of a communicator.

use super::{AllReduce, NcclError};
use crate::error::{CudaError, Doing};
use crate::wait::{idle, until};
use cudarc::driver::{CudaContext, CudaStream, result};
use std::sync::Arc;

/// Numbers of a short message, as batch norm sends them, and of a long one, as gradients are: NCCL has
/// different ways for them, and connects each when it is first gone.
const LENGTHS: [usize; 2] = [1, 1 << 20];

/// Adds ones up over ranks, and looks whether as many came out as there are ranks.
pub(super) fn warm_up(
    collective: &dyn AllReduce,
    context: &Arc<CudaContext>,
) -> Result<(), CudaError> {
    let what = "adding up for the first time";
    let stream = context.new_stream().doing(what)?;
    let ones = vec![1.0_f32; LENGTHS[1]];
    // SAFETY: the context is current; freed below, once.
    let at = unsafe { result::malloc_sync(size_of_val(&ones[..])) }.doing(what)?;
    let added = add(collective, &stream, at, ones);
    // SAFETY: allocated above. After a failure, what was under way was given up, so that it ends.
    let freed = unsafe { result::free_sync(at) }.doing(what);
    let [first, last] = added?;
    freed?;
    let ranks = collective.world() as f32;
    // The first number was in both sums.
    if [first, last] != [ranks * ranks, ranks] {
        let doing = what.to_string();
        let why = format!("{first} and {last} came out for {ranks} ranks");
        return Err(NcclError::Refused { doing, why }.into());
    }
    Ok(())
}

/// The sums, one after the other; the first and the last number that come out.
fn add(
    collective: &dyn AllReduce,
    stream: &CudaStream,
    at: u64,
    mut ones: Vec<f32>,
) -> Result<[f32; 2], CudaError> {
    let what = "adding up for the first time";
    // SAFETY: the block at `at` has as many bytes as `ones`.
    unsafe { result::memcpy_htod_sync(at, &ones) }.doing(what)?;
    for len in LENGTHS {
        collective.all_reduce(at, at, len, stream)?;
    }
    until(|| idle(stream).doing(what), |waited| collective.check(waited))?;
    // SAFETY: as above, and nothing writes there any more.
    unsafe { result::memcpy_dtoh_sync(&mut ones, at) }.doing(what)?;
    Ok([ones[0], ones[ones.len() - 1]])
}
