//! What is called while ranks add up, under one lock.

use super::error::MpiError;
use super::interface::Handle;
use super::library::Library;
use super::tuning::Tuning;
use crate::Numbers;
use std::ffi::c_int;

/// The calls, and what they need. Whoever has it holds the lock.
pub(super) struct Inside {
    library: &'static Library,
    tuning: Option<Tuning>,
    /// Why nothing is called any more.
    pub over: Option<MpiError>,
    channels: [Handle; Channel::ALL],
}

/// Communicators, each with its own order of calls.
#[derive(Clone, Copy)]
pub(super) enum Channel {
    /// For words between ranks and for comparing what they do.
    Control,
    /// For short sums.
    Short,
    /// For long sums, which short ones overtake.
    Long,
}

impl Channel {
    /// How many there are.
    pub const ALL: usize = 3;
}

/// What is done over all ranks, in place.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// Sums.
    Sum(Numbers),
    /// Sums of whole numbers.
    Total(*mut u64, usize),
    /// The least of each of these numbers.
    Least(*mut u64, usize),
}

/// MPI's words about a failure.
#[derive(Debug)]
pub(super) struct Said(pub String);

impl Inside {
    /// Of an MPI that is started, with copies of the communicator of all ranks.
    pub fn new(library: &'static Library, channels: [Handle; Channel::ALL]) -> Self {
        Self { library, tuning: Tuning::new(library), over: None, channels }
    }

    /// For calls of the library's own.
    pub fn communicator(&self, channel: Channel) -> Handle {
        self.channels[channel as usize]
    }

    /// Begins an operation.
    ///
    /// # Safety
    /// MPI is started and not ended, the numbers are there, no more than a C int counts, and nobody touches
    /// them until the request is done.
    pub unsafe fn begin(&mut self, channel: Channel, what: What) -> Result<Handle, Said> {
        let constants = &self.library.constants;
        let (to, count, kind, width, operation) = match what {
            What::Sum(Numbers::F32(to, n)) => (to.cast(), n, constants.f32, 4, constants.sum),
            What::Sum(Numbers::F64(to, n)) => (to.cast(), n, constants.f64, 8, constants.sum),
            What::Total(to, n) => (to.cast(), n, constants.u64, 8, constants.sum),
            What::Least(to, n) => (to.cast(), n, constants.u64, 8, constants.min),
        };
        if let Some(tuning) = &mut self.tuning {
            tuning.choose(width * count);
        }
        let mut request: Handle = 0;
        // SAFETY: as the caller promises; writes one handle.
        let answer = unsafe {
            (self.library.calls.begin)(
                constants.in_place,
                to,
                count as c_int,
                kind,
                operation,
                self.communicator(channel),
                &raw mut request,
            )
        };
        match answer {
            0 => Ok(request),
            _ => Err(Said(self.library.said(answer))),
        }
    }

    /// Whether a request is done.
    ///
    /// # Safety
    /// MPI is started and not ended, and the request was begun and not seen done.
    pub unsafe fn test(&mut self, request: &mut Handle) -> Result<bool, Said> {
        let mut done = 0;
        let ignore = self.library.constants.status_ignore;
        // SAFETY: as the caller promises; writes the request and one integer.
        let answer = unsafe { (self.library.calls.test)(request, &raw mut done, ignore) };
        match answer {
            0 => Ok(done != 0),
            _ => Err(Said(self.library.said(answer))),
        }
    }
}
