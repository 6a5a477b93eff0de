//! Files that lie beside this program, and libraries that lie elsewhere.

use crate::arguments::Arguments;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// A file of the bundle.
pub fn beside(name: &str) -> PathBuf {
    let own = env::current_exe().expect("we are some file");
    own.parent().expect("a file has a folder").join(name)
}

/// Where links to the NCCL that PyTorch brings are put.
pub fn nccl_folder(arguments: &Arguments) -> PathBuf {
    arguments.out.join("nccl")
}

/// Where stages look for libraries: PyTorch's NCCL last, for machines that have no other.
pub fn library_path(arguments: &Arguments) -> OsString {
    let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let own = nccl_folder(arguments);
    let own = own.canonicalize().unwrap_or(own);
    let paths = env::split_paths(&before).filter(|path| !path.as_os_str().is_empty());
    env::join_paths(paths.chain([own])).unwrap_or(before)
}
