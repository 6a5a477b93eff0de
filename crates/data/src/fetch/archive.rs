//! Reads packages member by member. Nothing is ever unpacked to a path that an archive names: callers pick
//! plain files by their exact name, and links, absolute paths and `..` never come into it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::bufread::MultiGzDecoder;

/// A downloaded package.
pub(crate) enum Package {
    /// A Debian package, and the `dpkg-deb` that reads it.
    Deb(PathBuf, PathBuf),
    /// An npm package: a gzipped tar archive.
    Npm(PathBuf),
}

impl Package {
    /// The file as it came.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Package::Deb(path, _) | Package::Npm(path) => path,
        }
    }
}

/// The most that is read of an archive, uncompressed: a bomb ends here.
const LIMIT: u64 = 16 << 30;

/// Is shown the name and the content of a member, and says whether to go on.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> bool;

/// Shows every plain file of `package` to `visit`, until that returns false.
pub(crate) fn members(package: &Package, visit: Visit) -> Result<(), String> {
    match package {
        Package::Npm(path) => {
            let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
            tar(MultiGzDecoder::new(BufReader::new(file)), visit)
        }
        Package::Deb(path, dpkg_deb) => deb(path, dpkg_deb, visit),
    }
}

fn deb(path: &Path, dpkg_deb: &Path, visit: Visit) -> Result<(), String> {
    let mut child = Command::new(dpkg_deb)
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| super::tool::not_started(dpkg_deb, &e))?;
    let read = match child.stdout.take() {
        Some(pipe) => tar(pipe, visit),
        None => Err("no pipe".into()),
    };
    // With all that was wanted in hand, the rest of the archive is of no interest, nor is how the tool ends.
    child.kill().ok();
    child.wait().ok();
    read.map_err(|e| format!("dpkg-deb --fsys-tarfile: {e}"))
}

/// Shows every plain file of an uncompressed tar archive to `visit`, until that returns false.
pub(crate) fn tar(reader: impl Read, visit: Visit) -> Result<(), String> {
    let damaged = |e: std::io::Error| format!("not a readable tar archive: {e}");
    let mut archive = tar::Archive::new(reader.take(LIMIT));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(name) = entry.path().ok().and_then(|p| p.to_str().map(String::from)) else {
            continue;
        };
        if !visit(name.strip_prefix("./").unwrap_or(&name), &mut entry) {
            break;
        }
    }
    Ok(())
}
