//! Sums over ranks of numbers in this process's memory.

use crate::Lost;
use std::fmt;
use std::sync::Arc;

/// Numbers that are added up in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// So many from there on.
    F32(*mut f32, usize),
    /// So many from there on.
    F64(*mut f64, usize),
}

// SAFETY: an address; whoever uses it has promised that nobody else does.
unsafe impl Send for Numbers {}

impl Numbers {
    /// How many.
    pub fn len(self) -> usize {
        match self {
            Self::F32(_, n) | Self::F64(_, n) => n,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Bytes that they take.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32(_, n) => 4 * n,
            Self::F64(_, n) => 8 * n,
        }
    }
}

/// A place in a program, for people: which sum it is that does not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The program's name.
    pub program: String,
    /// The operation as it is printed, with the line that recorded it.
    pub operation: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of program `{}`", self.operation, self.program)
    }
}

/// A sum that was begun.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

/// Adds up over ranks. Each rank has one and calls it from its own thread, and all ranks begin the
/// same sums in the same order. The sum of each number has the same bits on every rank.
///
/// After an error nothing more is added up, and memory that was handed over may still be written until
/// the process ends, unless an engine says otherwise.
pub trait Engine: Send {
    /// Begins to add up; does not wait.
    ///
    /// # Safety
    /// The numbers stay where they are, and nobody reads or writes them until the ticket was given to
    /// [`Engine::finish`] and that has returned `Ok`.
    ///
    /// # Errors
    /// A peer that is lost.
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost>;

    /// Lets sums that were begun make progress; does not wait. To be called between operations.
    ///
    /// # Errors
    /// A peer that is lost.
    fn poll(&mut self) -> Result<(), Lost>;

    /// Waits for a sum.
    ///
    /// # Errors
    /// A peer that is lost, or that does not come to this sum before the deadline; ranks that add up
    /// different numbers of numbers.
    fn finish(&mut self, ticket: Ticket) -> Result<(), Lost>;

    /// The engine in words, such as `MPI (Open MPI 4.1.4)`.
    fn describe(&self) -> String;
}
