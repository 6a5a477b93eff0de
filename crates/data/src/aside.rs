//! Writing to the side: a name holds either nothing or a whole, synced file.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result, io_error};

/// Writes `bytes` to a new file at `path` and waits until the disk has them.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(io_error(path, "create"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error(path, "write"))
}

/// Waits until the disk has the entries of the folder `dir`.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_error(dir, "sync"))
}

/// Gives a finished, synced file or folder its name. A folder never replaces one that holds anything.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| match source.kind() {
        std::io::ErrorKind::DirectoryNotEmpty => Error::Exists(to.to_owned()),
        _ => io_error(to, "rename the finished copy to this name")(source),
    })?;
    sync_dir(parent(to))
}

/// The folder that holds `path`; the current folder for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}
