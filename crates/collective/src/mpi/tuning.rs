//! Which algorithm Open MPI uses for a sum that does not block.
//!
//! Left alone, it takes one that moves every number to one rank and back as soon as a sum is in place,
//! which has half the bandwidth of its own blocking call. A control variable of MPI's tool interface
//! chooses another; it is read at the start of each sum, and may be changed between two. All ranks choose
//! by the length alone, hence the same.

use super::interface::Answer;
use super::library::Library;
use std::ffi::{c_char, c_int, c_void};

/// 0 is Open MPI's own choice, 3 halves what is sent in each round (Rabenseifner), 4 sends all in each of
/// half as many rounds (recursive doubling).
const VARIABLE: &std::ffi::CStr = c"coll_libnbc_iallreduce_algorithm";
const OWN: c_int = 0;
const HALVING: c_int = 3;
const DOUBLING: c_int = 4;
/// From so many bytes on bandwidth counts more than rounds.
const LARGE: usize = 64 << 10;

type Variable = *mut c_void;
type Write = unsafe extern "C" fn(Variable, *const c_void) -> Answer;

/// The variable.
pub(super) struct Tuning {
    write: Write,
    variable: Variable,
    now: c_int,
}

// SAFETY: the handle is used under the lock that is around every call of MPI.
unsafe impl Send for Tuning {}

impl Tuning {
    /// None for libraries that need none, and where somebody else has chosen. MPI has been started.
    pub fn new(library: &Library) -> Option<Self> {
        type Init = unsafe extern "C" fn(c_int, *mut c_int) -> Answer;
        type Index = unsafe extern "C" fn(*const c_char, *mut c_int) -> Answer;
        type Alloc = unsafe extern "C" fn(c_int, *mut c_void, *mut Variable, *mut c_int) -> Answer;
        type Read = unsafe extern "C" fn(Variable, *mut c_void) -> Answer;
        if !library.open_mpi {
            return None;
        }
        let init: Init = library.optional(c"MPI_T_init_thread")?;
        let index: Index = library.optional(c"MPI_T_cvar_get_index")?;
        let alloc: Alloc = library.optional(c"MPI_T_cvar_handle_alloc")?;
        let read: Read = library.optional(c"MPI_T_cvar_read")?;
        let write: Write = library.optional(c"MPI_T_cvar_write")?;
        let (mut level, mut at, mut count) = (0, 0, 0);
        let mut variable: Variable = std::ptr::null_mut();
        let mut now: c_int = -1;
        // SAFETY: as mpi.h declares them; each writes only integers and the handle, and the variable is one
        // integer, as is asked before it is read.
        let found = unsafe {
            init(library.constants.serialized, &raw mut level) == 0
                && index(VARIABLE.as_ptr(), &raw mut at) == 0
                && alloc(at, std::ptr::null_mut(), &raw mut variable, &raw mut count) == 0
                && count == 1
                && read(variable, (&raw mut now).cast()) == 0
        };
        if !found || now != OWN {
            tracing::debug!(found, now, "Open MPI's choice of algorithms is left as it is");
            return None;
        }
        Some(Self { write, variable, now })
    }

    /// The next sum has so many bytes.
    pub fn choose(&mut self, bytes: usize) {
        let best = if bytes < LARGE { DOUBLING } else { HALVING };
        if best == self.now {
            return;
        }
        self.now = best;
        // SAFETY: the variable is one integer, which the call reads. Refused, the sum is only slower.
        unsafe { (self.write)(self.variable, (&raw const best).cast()) };
    }
}
