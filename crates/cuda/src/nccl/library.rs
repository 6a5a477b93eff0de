//! libnccl: where it is, and the calls that we make.

use super::error::NcclError;
use crate::error::CudaError;
use libloading::Library as Shared;
use std::error::Error;
use std::ffi::{CStr, OsString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `ncclResult_t`. A number and not an enum: newer libraries may answer what we do not know.
pub(super) type Answer = c_int;
pub(super) const SUCCESS: Answer = 0;
pub(super) const INVALID_USAGE: Answer = 5;
/// Begun; `ncclCommGetAsyncError` tells when it is done.
pub(super) const IN_PROGRESS: Answer = 7;
/// `ncclFloat32` of `ncclDataType_t`.
pub(super) const FLOAT32: c_int = 7;
/// `ncclSum` of `ncclRedOp_t`.
pub(super) const SUM: c_int = 0;

/// The oldest version: its configuration of a communicator is the one that we fill in.
const OLDEST: [u32; 3] = [2, 18, 0];
/// What the library is called, most exact first.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

/// `ncclComm_t`.
pub(super) type Handle = *mut c_void;

/// `ncclUniqueId`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct RawId(pub [u8; 128]);

/// `ncclConfig_t` as 2.18 has it. Newer libraries take what they added from their defaults, by `size` and
/// `version`.
#[repr(C)]
pub(super) struct Config {
    size: usize,
    magic: u32,
    version: u32,
    blocking: c_int,
    cga_cluster_size: c_int,
    min_ctas: c_int,
    max_ctas: c_int,
    net_name: *const c_char,
    split_share: c_int,
    /// Padding to 2.18; `trafficClass` from 2.26 on.
    traffic_class: c_int,
}

impl Config {
    /// All defaults, except that no call blocks.
    pub fn non_blocking() -> Self {
        let undefined = c_int::MIN;
        Self {
            size: size_of::<Self>(),
            magic: 0xcafe_beef,
            version: number(OLDEST),
            blocking: 0,
            cga_cluster_size: undefined,
            min_ctas: undefined,
            max_ctas: undefined,
            net_name: std::ptr::null(),
            split_share: undefined,
            traffic_class: undefined,
        }
    }
}

/// The library, opened for as long as the process lives.
pub(super) struct Library {
    pub version: [u32; 3],
    pub get_unique_id: unsafe extern "C" fn(*mut RawId) -> Answer,
    pub init: unsafe extern "C" fn(*mut Handle, c_int, RawId, c_int, *mut Config) -> Answer,
    pub async_error: unsafe extern "C" fn(Handle, *mut Answer) -> Answer,
    pub finalize: unsafe extern "C" fn(Handle) -> Answer,
    pub destroy: unsafe extern "C" fn(Handle) -> Answer,
    pub abort: unsafe extern "C" fn(Handle) -> Answer,
    pub all_reduce: unsafe extern "C" fn(
        *const c_void,
        *mut c_void,
        usize,
        c_int,
        c_int,
        Handle,
        *mut c_void,
    ) -> Answer,
    error_string: unsafe extern "C" fn(Answer) -> *const c_char,
    last_error: unsafe extern "C" fn(Handle) -> *const c_char,
    _shared: Shared,
}

impl Library {
    /// The library; it is looked for once.
    pub fn get() -> Result<&'static Self, NcclError> {
        static LIBRARY: OnceLock<Result<Library, NcclError>> = OnceLock::new();
        let opened = LIBRARY.get_or_init(|| Self::open(std::env::var_os("DUEL_NCCL")));
        opened.as_ref().map_err(Clone::clone)
    }

    fn open(given: Option<OsString>) -> Result<Self, NcclError> {
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            let shared =
                first(NAMES.map(PathBuf::from)).map_err(|why| NcclError::Absent { why })?;
            return Self::of(shared).map_err(|error| match error {
                Missing::Symbol(why) => NcclError::Absent { why },
                Missing::Age(found) => NcclError::Old { found },
            });
        };
        let not_there =
            |why| NcclError::NotThere { given: Path::new(&given).display().to_string(), why };
        let given = Path::new(&given);
        let shared = match given.is_dir() {
            true => first(NAMES.map(|name| given.join(name))),
            false => first([given.to_path_buf()]),
        };
        Self::of(shared.map_err(not_there)?).map_err(|error| match error {
            Missing::Symbol(why) => not_there(why),
            Missing::Age(found) => NcclError::Old { found },
        })
    }

    fn of(shared: Shared) -> Result<Self, Missing> {
        /// Looks a call up.
        fn call<F: Copy>(shared: &Shared, name: &str) -> Result<F, Missing> {
            // SAFETY: the symbol has the type that nccl.h declares, as the fields of `Library` repeat it.
            let found = unsafe { shared.get::<F>(name) };
            found.map(|symbol| *symbol).map_err(|why| Missing::Symbol(in_full(&why)))
        }
        let get_version: unsafe extern "C" fn(*mut c_int) -> Answer =
            call(&shared, "ncclGetVersion")?;
        let mut number = 0;
        // SAFETY: the call writes one integer.
        unsafe { get_version(&raw mut number) };
        // First of all: an old library lacks some of the calls below.
        let version = parts(number.unsigned_abs());
        if version < OLDEST {
            return Err(Missing::Age(version));
        }
        Ok(Self {
            version,
            get_unique_id: call(&shared, "ncclGetUniqueId")?,
            init: call(&shared, "ncclCommInitRankConfig")?,
            async_error: call(&shared, "ncclCommGetAsyncError")?,
            finalize: call(&shared, "ncclCommFinalize")?,
            destroy: call(&shared, "ncclCommDestroy")?,
            abort: call(&shared, "ncclCommAbort")?,
            all_reduce: call(&shared, "ncclAllReduce")?,
            error_string: call(&shared, "ncclGetErrorString")?,
            last_error: call(&shared, "ncclGetLastError")?,
            _shared: shared,
        })
    }

    /// An answer in NCCL's own words.
    pub fn said(&self, answer: Answer) -> String {
        let text = |at: *const c_char| match at.is_null() {
            true => String::new(),
            // SAFETY: NCCL's strings end with a zero byte and are not changed while we copy them.
            false => unsafe { CStr::from_ptr(at) }.to_string_lossy().trim().to_string(),
        };
        // SAFETY: any number may be asked about; the last error is the process's, so no handle is needed.
        let (general, last) = unsafe {
            (text((self.error_string)(answer)), text((self.last_error)(std::ptr::null_mut())))
        };
        match last.is_empty() {
            true => general,
            false => format!("{general} ({last})"),
        }
    }

    /// Takes success, and what is under way, for good.
    pub fn answer(&self, answer: Answer, doing: &str) -> Result<(), CudaError> {
        match answer {
            SUCCESS | IN_PROGRESS => Ok(()),
            _ => Err(self.refused(answer, doing).into()),
        }
    }

    /// An answer that is neither.
    pub fn refused(&self, answer: Answer, doing: &str) -> NcclError {
        NcclError::Refused { doing: doing.to_string(), why: self.said(answer) }
    }
}

/// What a library lacks.
enum Missing {
    Symbol(String),
    Age([u32; 3]),
}

/// The first library that opens, or why the first that was tried does not.
fn first<const N: usize>(paths: [PathBuf; N]) -> Result<Shared, String> {
    let mut why = None;
    for path in paths {
        // SAFETY: NCCL's initialisers only set up its own state.
        match unsafe { Shared::new(&path) } {
            Ok(shared) => return Ok(shared),
            Err(error) => _ = why.get_or_insert_with(|| in_full(&error)),
        }
    }
    Err(why.expect("there is something to try"))
}

/// An error with what it came from, which is what the dynamic linker said.
fn in_full(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), in_full)
}

/// `NCCL_VERSION_CODE` of a version.
fn number([major, minor, patch]: [u32; 3]) -> u32 {
    10_000 * major + 100 * minor + patch
}

/// The version of a `NCCL_VERSION_CODE`; before 2.9 it had a digit less.
fn parts(number: u32) -> [u32; 3] {
    let major = if number < 10_000 { 1_000 } else { 10_000 };
    [number / major, number % major / 100, number % 100]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_parts() {
        assert_eq!(parts(2_804), [2, 8, 4]);
        assert_eq!(parts(21_701), [2, 17, 1]);
        assert_eq!(parts(22_809), [2, 28, 9]);
        assert_eq!(number([2, 18, 0]), 21_800);
        assert!(parts(2_804) < OLDEST && parts(21_701) < OLDEST && parts(21_800) >= OLDEST);
    }

    #[test]
    fn a_variable_that_leads_nowhere_is_named() {
        let folder = std::env::temp_dir();
        for given in [folder.clone(), folder.join("no-such-file")] {
            let error = Library::open(Some(given.clone().into())).err().expect("no NCCL");
            let text = error.to_string();
            assert!(text.contains(&format!("DUEL_NCCL is `{}`", given.display())), "{text}");
        }
    }
}
