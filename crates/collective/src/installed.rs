//! What there is on this machine to add up with.

use crate::mpi::MpiError;
use crate::mpi::library::Library;
use std::path::PathBuf;

/// The MPI library that ranks on cores would use: its name and version, and its file. Nothing is started.
///
/// # Errors
/// No library, or one that cannot be used.
pub fn installed_mpi() -> Result<(String, PathBuf), MpiError> {
    let library = Library::get()?;
    Ok((library.name(), library.path.clone()))
}
