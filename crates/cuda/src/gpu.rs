//! A device with its context, its two streams, and memory on both sides of the bus.

use crate::builder::Card;
use crate::error::{CudaError, Doing};
use crate::nccl::AllReduce;
use crate::probe::{self, Found};
use crate::wait::{idle, passed, until};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, result, sys};
use std::sync::Arc;

/// One device, and the streams that all its work goes through.
pub(crate) struct Gpu {
    pub context: Arc<CudaContext>,
    /// Programs.
    pub main: Arc<CudaStream>,
    /// What runs beside programs: batches that arrive, sums over ranks.
    pub side: Arc<CudaStream>,
    pub found: Found,
    /// Asked while the host waits, because a sum over ranks may never end.
    collective: Option<Arc<dyn AllReduce>>,
}

impl Gpu {
    /// Opens `cuda:ordinal`.
    pub fn open(ordinal: usize, collective: Option<Arc<dyn AllReduce>>) -> Result<Self, CudaError> {
        let found = probe::device(ordinal)?;
        let what = format!("opening cuda:{ordinal}");
        let context = CudaContext::new(ordinal).doing(&what)?;
        // SAFETY: all ordering between streams is ours, by events in the list of what is done.
        unsafe { context.disable_event_tracking() };
        let main = context.new_stream().doing(&what)?;
        let side = context.new_stream().doing(&what)?;
        Ok(Self { context, main, side, found, collective })
    }

    /// What kernels are chosen by.
    pub fn card(&self) -> Card {
        let Found { multiprocessors, capability, .. } = self.found;
        Card { multiprocessors, capability }
    }

    /// Makes this the device of the calling thread.
    pub fn bind(&self) -> Result<(), CudaError> {
        self.context.bind_to_thread().doing("taking up the device")
    }

    /// Bytes of device memory that are free.
    pub fn free(&self) -> Result<usize, CudaError> {
        Ok(self.context.mem_get_info().doing("asking for free memory")?.0)
    }

    /// An event without a time.
    pub fn event(&self) -> Result<CudaEvent, CudaError> {
        self.context.new_event(None).doing("making an event")
    }

    /// Waits for both streams.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.finish(&self.side, "waiting")?;
        self.finish(&self.main, "waiting")
    }

    /// Waits for all work of a stream. A failure of a kernel, or of another rank, comes out here.
    pub fn finish(&self, stream: &CudaStream, doing: &str) -> Result<(), CudaError> {
        match &self.collective {
            None => stream.synchronize().doing(doing),
            Some(ranks) => until(|| idle(stream).doing(doing), |waited| ranks.check(waited)),
        }
    }

    /// Waits for what an event marks, in the same way.
    pub fn wait_for(&self, event: &CudaEvent, doing: &str) -> Result<(), CudaError> {
        match &self.collective {
            None => event.synchronize().doing(doing),
            Some(ranks) => until(|| passed(event).doing(doing), |waited| ranks.check(waited)),
        }
    }
}

/// A block of device memory.
pub(crate) struct Block {
    context: Arc<CudaContext>,
    /// Address of its first byte.
    pub at: u64,
}

impl Block {
    /// Zeroed memory.
    pub fn zeroed(gpu: &Gpu, bytes: usize) -> Result<Self, CudaError> {
        let refused = |error: result::DriverError| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::Memory {
                ordinal: gpu.found.ordinal,
                needed: bytes,
                free: gpu.free().unwrap_or(0),
                batch: None,
            },
            _ => CudaError::Driver {
                doing: format!("taking {bytes} bytes of memory"),
                why: crate::error::said(error),
            },
        };
        // SAFETY: the context is current; what comes back is freed once, when this is dropped.
        let at = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(refused)?;
        let block = Self { context: Arc::clone(&gpu.context), at };
        // SAFETY: `bytes` bytes were just allocated there.
        let zeroed = unsafe { result::memset_d8_async(at, 0, bytes, gpu.main.cu_stream()) };
        zeroed.doing("clearing memory")?;
        gpu.wait()?;
        Ok(block)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated by us, freed once. The driver waits for what still uses it; a context that is
        // gone took its memory along, so the answer says nothing.
        let _ = self.context.bind_to_thread().and_then(|()| unsafe { result::free_sync(self.at) });
    }
}

/// Memory of the host that the device copies from by itself.
pub(crate) struct Pinned {
    context: Arc<CudaContext>,
    at: *mut u8,
    len: usize,
}

impl Pinned {
    /// Zeroed memory.
    pub fn zeroed(gpu: &Gpu, len: usize) -> Result<Self, CudaError> {
        // SAFETY: the context is current; what comes back is freed once, when this is dropped.
        let at = unsafe { result::malloc_host(len.max(1), 0) }.doing("taking pinned memory")?;
        let at = at.cast::<u8>();
        // SAFETY: `len` bytes were just allocated there.
        unsafe { std::ptr::write_bytes(at, 0, len) };
        Ok(Self { context: Arc::clone(&gpu.context), at, len })
    }

    /// Its bytes. Nothing may be copying from it: whoever fills it waits for an event first.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: allocated with this length and initialised; borrowed as this is.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.len) }
    }

    /// Begins a copy of all of it to device memory.
    pub fn send(&self, to: u64, stream: &CudaStream) -> Result<(), CudaError> {
        // SAFETY: the place holds as many bytes, and this memory is not written before the copy's event.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, self.len) };
        // SAFETY: as above.
        unsafe { result::memcpy_htod_async(to, bytes, stream.cu_stream()) }.doing("sending a batch")
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: as for `Block`.
        let _ = self
            .context
            .bind_to_thread()
            .and_then(|()| unsafe { result::free_host(self.at.cast()) });
    }
}
