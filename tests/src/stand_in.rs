//! The stand-in for NVIDIA's driver and NCCL: the project's kernels, compiled for the processor.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Whether tests use this machine's own driver and GPU: where `DUEL_CUDA=real` says so.
pub fn is_real() -> bool {
    std::env::var("DUEL_CUDA").is_ok_and(|value| value == "real")
}

/// The folder that holds `libcuda.so.1` and `libnccl.so.2`, built when it is first asked for. Nothing where
/// there is no C++ compiler; that is said loudly, and is an error in CI.
pub fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_string());
    if Command::new(&compiler).arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has a C++ compiler");
        eprintln!(
            "LEFT OUT: tests of the CUDA layer need a C++ compiler, and {compiler} is not there"
        );
        return None;
    }
    let folder = root.join("target/stand_in");
    let built =
        Command::new("bash").arg(root.join("tests/stand_in/build.sh")).arg(&folder).output();
    let built = built.expect("bash is there");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the stand-in does not build:\n{said}");
    Some(folder)
}

/// Makes a process see a GPU: the stand-in, unless [`is_real`]. Whether there is one.
pub fn show(command: &mut Command) -> bool {
    command.env_remove("DUEL_DEVICE");
    if !is_real() {
        let Some(folder) = folder() else { return false };
        command.env("LD_LIBRARY_PATH", folder);
    }
    true
}

/// Opens the driver for this process, the stand-in unless [`is_real`]. Whether there is one.
///
/// The stand-in is opened by its path, before anybody asks for `libcuda.so.1` by name: the loader then
/// answers with the library that is there.
pub fn open() -> bool {
    static OPENED: OnceLock<bool> = OnceLock::new();
    *OPENED.get_or_init(|| {
        if is_real() {
            return true;
        }
        let Some(folder) = folder() else { return false };
        open_library(&folder.join("libcuda.so.1"));
        true
    })
}

#[cfg(unix)]
fn open_library(path: &Path) {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library's constructors register kernels and nothing else.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    std::mem::forget(library.expect("the stand-in was just built"));
}
