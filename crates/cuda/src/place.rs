//! Where everything lies in the one block of device memory that a run takes.

use crate::tensor::{Tensor, Type};
use crate::weights::Copies;
use tape::{Compiled, Kind, Space, T};

/// Bytes of the clock; a multiple of [`ALIGN`].
pub(crate) const CLOCK: u64 = 256;
/// Regions begin at multiples of this many bytes.
pub(crate) const ALIGN: u64 = 256;
/// Bytes of the flag of a checked run, see `kernels/reduce.cu`.
const FLAG: u64 = 256;
/// Landing places of each input: while a program reads one batch, the next arrives.
pub(crate) const LANDINGS: usize = 2;

/// Addresses of the regions, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub clock: u64,
    pub flag: u64,
    state: u64,
    arena: u64,
    bytes: u64,
    /// Copies of weights, and the tables of which lies where.
    pub copies: u64,
    pub tables: u64,
    /// Inputs arrive here.
    pub landings: u64,
    /// Last, because the nodes tell how long it is.
    pub workspace: u64,
}

impl Places {
    /// The regions of a compiled tape from an address on.
    pub fn new(base: u64, compiled: &Compiled, copies: &Copies) -> Self {
        let mut next = base;
        let mut region = |bytes: u64| {
            let at = next;
            next += bytes.next_multiple_of(ALIGN);
            at
        };
        let plan = &compiled.plan;
        Self {
            clock: region(CLOCK),
            flag: region(FLAG),
            state: region(4 * plan.state as u64),
            arena: region(4 * plan.arena as u64),
            bytes: region(plan.bytes as u64),
            copies: region(copies.bytes()),
            tables: region(copies.table_bytes()),
            landings: region(LANDINGS as u64 * landing_bytes(compiled)),
            workspace: region(0),
        }
    }

    /// A tensor's place.
    ///
    /// # Panics
    /// Where no program uses the tensor.
    pub fn tensor(&self, compiled: &Compiled, t: T) -> Tensor {
        let tensor = compiled.tensor(t);
        let place = compiled.plan.byte_offset(t, 4);
        let (space, offset) =
            place.unwrap_or_else(|| panic!("{} has no place in memory", compiled.label(t)));
        let base = match space {
            Space::State => self.state,
            Space::Arena => self.arena,
            Space::Bytes => self.bytes,
        };
        let len = u32::try_from(tensor.shape.len()).expect("a tensor has less than 2³² elements");
        Tensor { at: base + offset as u64, dtype: Type::of(tensor.dtype), len }
    }
}

/// Bytes of a landing place of every input, each from a multiple of 256 bytes on.
pub(crate) fn landing_bytes(compiled: &Compiled) -> u64 {
    inputs(compiled).map(|(_, bytes)| bytes.next_multiple_of(ALIGN)).sum()
}

/// Inputs that some program reads, with their bytes.
pub(crate) fn inputs(compiled: &Compiled) -> impl Iterator<Item = (T, u64)> {
    compiled.all().filter_map(|t| {
        let tensor = compiled.tensor(t);
        let used = tensor.kind == Kind::Input && compiled.plan.place(t).is_some();
        used.then(|| (t, (tensor.shape.len() * tensor.dtype.bytes(4)) as u64))
    })
}
