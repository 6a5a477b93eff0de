//! The clock as kernels read it: the twin of `Clock` in `kernels/tensor.cuh`.
//!
//! A captured graph freezes its parameters, so what changes from step to step lies in device memory and is
//! written before each program.

use crate::error::CudaError;
use crate::place::CLOCK;

/// Scalars that fit.
const SCALARS: usize = 56;

/// What changes from run to run of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Clock {
    seed: u64,
    tick: u64,
    rank: u32,
    world: u32,
    unused: u64,
    scalars: [f32; SCALARS],
}

const _: () = assert!(size_of::<Clock>() as u64 == CLOCK);

impl Clock {
    /// The host's clock, its scalars rounded to f32.
    pub fn new(clock: &tape::Clock, world: u32) -> Result<Self, CudaError> {
        if clock.scalars.len() > SCALARS {
            let found = format!("{} scalars in a clock that holds {SCALARS}", clock.scalars.len());
            return Err(CudaError::Misuse(found));
        }
        let mut scalars = [0.0; SCALARS];
        for (to, from) in scalars.iter_mut().zip(&clock.scalars) {
            *to = *from as f32;
        }
        let (seed, tick, rank) = (clock.seed, clock.tick, clock.rank as u32);
        Ok(Self { seed, tick, rank, world, unused: 0, scalars })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `repr(C)` without padding, as the assertion above adds up; any byte may be read as u8.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
}
