//! Inputs on their way to the device, without anybody waiting: the host fills one pinned buffer while the
//! other is copied, and the copy runs beside the program that reads the batch before.

use crate::error::{CudaError, Doing};
use crate::gpu::{Gpu, Pinned};
use crate::place::LANDINGS;
use cudarc::driver::{CudaEvent, result};

/// The way of one input.
pub(crate) struct Arrivals {
    slots: [Slot; LANDINGS],
    next: usize,
    /// The input's own place, and its bytes.
    to: u64,
    bytes: usize,
}

struct Slot {
    pinned: Pinned,
    landing: u64,
    landed: CudaEvent,
    /// The batch has left its landing place.
    left: CudaEvent,
}

impl Arrivals {
    /// The way to `to`, over landing places of as many bytes.
    pub fn new(
        gpu: &Gpu,
        landings: [u64; LANDINGS],
        to: u64,
        bytes: usize,
    ) -> Result<Self, CudaError> {
        let slot = |landing| -> Result<Slot, CudaError> {
            let pinned = Pinned::zeroed(gpu, bytes)?;
            Ok(Slot { pinned, landing, landed: gpu.event()?, left: gpu.event()? })
        };
        let slots = [slot(landings[0])?, slot(landings[1])?];
        Ok(Self { slots, next: 0, to, bytes })
    }

    /// Takes a batch; it is there for whatever is run next.
    pub fn send(&mut self, gpu: &Gpu, bytes: &[u8]) -> Result<(), CudaError> {
        let what = "sending a batch";
        let slot = &mut self.slots[self.next];
        self.next = (self.next + 1) % LANDINGS;
        gpu.wait_for(&slot.left, what)?;
        slot.pinned.bytes().copy_from_slice(bytes);
        slot.pinned.send(slot.landing, &gpu.side)?;
        slot.landed.record(&gpu.side).doing(what)?;
        gpu.main.wait(&slot.landed).doing(what)?;
        // SAFETY: both places hold `bytes` bytes and are apart; the stream orders this copy behind the
        // program that read the batch before.
        unsafe {
            result::memcpy_dtod_async(self.to, slot.landing, self.bytes, gpu.main.cu_stream())
        }
        .doing(what)?;
        slot.left.record(&gpu.main).doing(what)
    }
}
