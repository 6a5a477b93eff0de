//! The waist: what a device must be able to do.

use crate::{Program, T, Tape};
use std::fmt;
use std::time::Duration;

/// What changes from run to run of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// Seed of the run; a part of every draw's counter.
    pub seed: u64,
    /// A number that no two runs of training programs share; a part of every draw's counter.
    pub tick: u64,
    /// This rank. Row i of its batch is global sample i · world + rank.
    pub rank: usize,
    /// Values of [`Tape::scalars`], in order.
    pub scalars: Vec<f64>,
    /// Run operation by operation and fail at the first result that is not finite.
    pub check: bool,
}

/// What decides how a tape is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What becomes of operations that stand next to each other.
    pub fusion: Fusion,
    /// Store activations and their gradients as [`crate::Dtype::Bf16`]. For devices that can, with reals
    /// of four bytes: two of the narrow elements take the place of one.
    pub narrow: bool,
}

/// How far operations are fused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusion {
    /// As far as it goes.
    #[default]
    All,
    /// All but what convolutions compute of their operands while they read them: for devices whose
    /// convolutions copy memory as it lies.
    Results,
    /// Not at all, the tape as it was recorded: for tests of the fusion passes.
    None,
}

/// Runs programs. The device keeps state between runs; the host sees it through `write` and `read`.
pub trait Device {
    /// Plans, allocates, packs. All memory that a run needs is allocated here.
    fn load(&mut self, tape: &Tape, options: &Options) -> Result<(), DeviceError>;
    /// Runs a program, or puts it into a queue; does not wait.
    fn run(&mut self, program: Program, clock: &Clock) -> Result<(), DeviceError>;
    /// Runs a program as [`Device::run`] does, waits for it, and tells the time that each node of
    /// [`crate::Listing::nodes`] took, in order: none for views.
    fn profile(&mut self, program: Program, clock: &Clock) -> Result<Vec<Duration>, DeviceError>;
    /// Writes a whole input or state tensor; copies before it returns.
    fn write(&mut self, t: T, bytes: &[u8]) -> Result<(), DeviceError>;
    /// Reads a whole output or state tensor; waits for everything in the queue.
    fn read(&mut self, t: T, into: &mut [u8]) -> Result<(), DeviceError>;
    /// Whether [`Device::run`] may return before the program has run, so that reading after each one
    /// would hold it up.
    fn is_queued(&self) -> bool {
        false
    }
    /// The device in words, for reports.
    fn describe(&self) -> String;
    /// Bytes of one element of type [`crate::Dtype::Real`]: 4 or 8.
    fn real_bytes(&self) -> usize;
}

/// Why a device could not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// A tensor has a value that is not finite: found by a run with [`Clock::check`].
    NotFinite {
        /// Program.
        program: String,
        /// Operation, as it is printed.
        op: String,
        /// Tensor.
        tensor: String,
        /// The line that recorded it.
        at: String,
        /// Its number in the program, by which ranks find out who was first.
        node: usize,
    },
    /// The caller broke the interface: wrong size, unknown tensor, nothing loaded.
    Misuse(String),
    /// Other ranks do not go on, so this one cannot. Nothing can be run any more.
    Lost(String),
    /// The machine refused.
    Failed(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { program, op, tensor, at, .. } => {
                write!(f, "program `{program}`: `{op}` recorded at {at}: {tensor} is not finite")
            }
            Self::Misuse(what) | Self::Lost(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for DeviceError {}
