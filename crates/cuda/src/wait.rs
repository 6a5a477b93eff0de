//! Waiting for a device whose work may never end: a sum over ranks stands still when a peer is gone.

use crate::error::CudaError;
use cudarc::driver::{CudaEvent, CudaStream, DriverError, sys};
use std::thread;
use std::time::{Duration, Instant};

/// Short waits are spun through, so that they cost no more than the driver's own.
const SPIN: Duration = Duration::from_micros(100);
/// The longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until `ready`; between looks, `check` may end it with an error. It is told the time so far, and asked
/// once more behind the last look, with no time: work that was given up ends too, without a result.
pub(crate) fn until(
    ready: impl Fn() -> Result<bool, CudaError>,
    check: impl Fn(Duration) -> Result<(), CudaError>,
) -> Result<(), CudaError> {
    let begun = Instant::now();
    while !ready()? {
        let waited = begun.elapsed();
        check(waited)?;
        match waited < SPIN {
            true => thread::yield_now(),
            false => thread::sleep((waited / 16).min(PAUSE)),
        }
    }
    check(Duration::ZERO)
}

/// Whether all work of a stream is done. A failure of that work comes out here.
pub(crate) fn idle(stream: &CudaStream) -> Result<bool, DriverError> {
    // SAFETY: the stream lives as long as its owner.
    match unsafe { sys::cuStreamQuery(stream.cu_stream()) } {
        sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
        answer => answer.result().map(|()| true),
    }
}

/// Whether what an event marks is done.
pub(crate) fn passed(event: &CudaEvent) -> Result<bool, DriverError> {
    event.try_is_complete()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_never_ends_is_left_at_the_deadline() {
        let deadline = Duration::from_millis(20);
        let told = Cell::new(Duration::ZERO);
        let late = || CudaError::Misuse("late".to_string());
        let answer = until(
            || Ok(false),
            |waited| {
                assert!(waited >= told.replace(waited), "time goes on");
                if waited > deadline { Err(late()) } else { Ok(()) }
            },
        );
        assert_eq!(answer.expect_err("never ready").to_string(), "late");
        assert!(told.get() > deadline);
    }

    #[test]
    fn what_ends_is_checked_once_more() {
        let looks = Cell::new(0);
        let ready = || Ok(looks.replace(looks.get() + 1) == 2);
        let checks = Cell::new(0);
        let check = |_| {
            checks.set(checks.get() + 1);
            Ok(())
        };
        until(ready, check).expect("ready at the third look");
        assert_eq!((looks.get(), checks.get()), (3, 3));
        let given_up = |_| Err(CudaError::Misuse("given up".to_string()));
        let answer = until(|| Ok(true), given_up);
        assert_eq!(answer.expect_err("there is no result").to_string(), "given up");
    }
}
