//! Clocks on their way to the device: a pinned slot for each program in flight.

use crate::clock::Clock;
use crate::error::{CudaError, Doing};
use crate::gpu::{Gpu, Pinned};
use crate::place::CLOCK;
use cudarc::driver::CudaEvent;

/// Programs that may be in flight; the host waits before it starts one more.
const IN_FLIGHT: usize = 8;

/// The slots, used in turn.
pub(crate) struct Ring {
    slots: Vec<(Pinned, CudaEvent)>,
    next: usize,
}

impl Ring {
    /// Free slots.
    pub fn new(gpu: &Gpu) -> Result<Self, CudaError> {
        let slot = |_| Ok((Pinned::zeroed(gpu, CLOCK as usize)?, gpu.event()?));
        Ok(Self { slots: (0..IN_FLIGHT).map(slot).collect::<Result<_, CudaError>>()?, next: 0 })
    }

    /// Writes the clock for the program that is run next.
    pub fn send(&mut self, gpu: &Gpu, clock: &Clock, to: u64) -> Result<(), CudaError> {
        let (pinned, sent) = &mut self.slots[self.next];
        self.next = (self.next + 1) % IN_FLIGHT;
        gpu.wait_for(sent, "waiting for a program in flight")?;
        pinned.bytes().copy_from_slice(clock.bytes());
        pinned.send(to, &gpu.main)?;
        sent.record(&gpu.main).doing("sending the clock")
    }
}
