//! The binary interface of MPI: its calls and constants.
//!
//! Three are known, the standard's (MPI 5), MPICH's, which Intel MPI, MVAPICH and Cray MPI have too, and Open
//! MPI's. They differ in what a handle is: a pointer (the standard's, Open MPI's) or a C int (MPICH's). Here
//! every handle is a machine word, and an int lies in its low half. That is sound on 64-bit little-endian
//! machines: a callee reads an int from the low half of the register in which a word is passed, and writes
//! one to the low half of a word in memory.

use libloading::os::unix::Library as Shared;
use std::ffi::{CStr, c_char, c_int, c_void};

const _: () = assert!(
    cfg!(all(target_pointer_width = "64", target_endian = "little")),
    "handles of MPI are words with an int in the low half"
);

/// What a call answers; 0 is success.
pub(super) type Answer = c_int;
/// A communicator, datatype, operation, request or error handler.
pub(super) type Handle = usize;

/// Values of `mpi.h`.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub world: Handle,
    pub f32: Handle,
    pub f64: Handle,
    pub u64: Handle,
    pub sum: Handle,
    pub min: Handle,
    pub errors_return: Handle,
    pub in_place: *const c_void,
    pub status_ignore: *mut c_void,
    /// `MPI_THREAD_SERIALIZED`; higher levels are higher numbers.
    pub serialized: c_int,
}

/// `MPI_Iallreduce`: from, to, how many, datatype, operation, communicator, request.
type Begin = unsafe extern "C" fn(
    *const c_void,
    *mut c_void,
    c_int,
    Handle,
    Handle,
    Handle,
    *mut Handle,
) -> Answer;

/// `MPI_Allreduce`: the same without a request.
type AllReduce =
    unsafe extern "C" fn(*const c_void, *mut c_void, c_int, Handle, Handle, Handle) -> Answer;

/// `MPI_Init_thread`: arguments, thread level asked for and got.
type InitThread =
    unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> Answer;

/// Calls with the types that `mpi.h` declares, handles as words.
pub(super) struct Calls {
    pub init_thread: InitThread,
    pub initialized: unsafe extern "C" fn(*mut c_int) -> Answer,
    pub finalize: unsafe extern "C" fn() -> Answer,
    pub comm_rank: unsafe extern "C" fn(Handle, *mut c_int) -> Answer,
    pub comm_size: unsafe extern "C" fn(Handle, *mut c_int) -> Answer,
    pub comm_dup: unsafe extern "C" fn(Handle, *mut Handle) -> Answer,
    pub comm_set_errhandler: unsafe extern "C" fn(Handle, Handle) -> Answer,
    pub all_reduce: AllReduce,
    pub begin: Begin,
    pub test: unsafe extern "C" fn(*mut Handle, *mut c_int, *mut c_void) -> Answer,
    pub processor_name: unsafe extern "C" fn(*mut c_char, *mut c_int) -> Answer,
    pub error_string: unsafe extern "C" fn(Answer, *mut c_char, *mut c_int) -> Answer,
}

impl Calls {
    /// Of an open library.
    pub fn of(shared: &Shared) -> Result<Self, libloading::Error> {
        Ok(Self {
            init_thread: symbol(shared, c"MPI_Init_thread")?,
            initialized: symbol(shared, c"MPI_Initialized")?,
            finalize: symbol(shared, c"MPI_Finalize")?,
            comm_rank: symbol(shared, c"MPI_Comm_rank")?,
            comm_size: symbol(shared, c"MPI_Comm_size")?,
            comm_dup: symbol(shared, c"MPI_Comm_dup")?,
            comm_set_errhandler: symbol(shared, c"MPI_Comm_set_errhandler")?,
            all_reduce: symbol(shared, c"MPI_Allreduce")?,
            begin: symbol(shared, c"MPI_Iallreduce")?,
            test: symbol(shared, c"MPI_Test")?,
            processor_name: symbol(shared, c"MPI_Get_processor_name")?,
            error_string: symbol(shared, c"MPI_Error_string")?,
        })
    }
}

/// Looks a symbol up.
pub(super) fn symbol<F: Copy>(shared: &Shared, name: &CStr) -> Result<F, libloading::Error> {
    // SAFETY: a call has the type that mpi.h declares, but for handles, which are words here; of anything else
    // only the address is taken.
    unsafe { shared.get::<F>(name.to_bytes_with_nul()) }.map(|symbol| *symbol)
}

impl Constants {
    /// Of an open library, which says this about itself; none if its interface is not known.
    pub fn of(shared: &Shared, version: &str) -> Result<Option<Self>, libloading::Error> {
        type AbiVersion = unsafe extern "C" fn(*mut c_int, *mut c_int) -> Answer;
        if is_open_mpi(shared) {
            return open_mpi(shared).map(Some);
        }
        if let Ok(abi_version) = symbol::<AbiVersion>(shared, c"MPI_Abi_get_version") {
            let (mut major, mut minor) = (-1, -1);
            // SAFETY: the call may be made before MPI is started; it writes two integers.
            let answer = unsafe { abi_version(&raw mut major, &raw mut minor) };
            // A library with another interface answers -1.
            if answer == 0 && major == 1 {
                return Ok(Some(STANDARD));
            }
        }
        // Cray's is called `CRAY MPICH`, MVAPICH's `MVAPICH2`.
        let known = ["MPICH", "Intel(R) MPI", "MVAPICH"].iter().any(|name| version.contains(name));
        Ok(known.then_some(MPICH))
    }
}

/// Whether a library has Open MPI's own interface.
pub(super) fn is_open_mpi(shared: &Shared) -> bool {
    symbol::<*const c_void>(shared, c"ompi_mpi_comm_world").is_ok()
}

/// Of `mpi_abi.h`, version 1.
const STANDARD: Constants = Constants {
    world: 0x101,
    f32: 0x210,
    f64: 0x214,
    u64: 0x259,
    sum: 0x21,
    min: 0x22,
    errors_return: 0x143,
    in_place: std::ptr::without_provenance(1),
    status_ignore: std::ptr::null_mut(),
    serialized: 2048,
};

/// Of MPICH's `mpi.h`, the same since version 3.1.
const MPICH: Constants = Constants {
    world: 0x4400_0000,
    f32: 0x4c00_040a,
    f64: 0x4c00_080b,
    u64: 0x4c00_083e,
    sum: 0x5800_0003,
    min: 0x5800_0002,
    errors_return: 0x5400_0001,
    in_place: std::ptr::without_provenance(usize::MAX),
    status_ignore: std::ptr::without_provenance_mut(1),
    serialized: 2,
};

/// Of Open MPI's `mpi.h`, where handles are addresses of global values.
fn open_mpi(shared: &Shared) -> Result<Constants, libloading::Error> {
    let address = |name| symbol::<*const c_void>(shared, name).map(|at| at as Handle);
    Ok(Constants {
        world: address(c"ompi_mpi_comm_world")?,
        f32: address(c"ompi_mpi_float")?,
        f64: address(c"ompi_mpi_double")?,
        u64: address(c"ompi_mpi_uint64_t")?,
        sum: address(c"ompi_mpi_op_sum")?,
        min: address(c"ompi_mpi_op_min")?,
        errors_return: address(c"ompi_mpi_errors_return")?,
        in_place: std::ptr::without_provenance(1),
        status_ignore: std::ptr::null_mut(),
        serialized: 2,
    })
}
