//! Files appear whole or not at all: written to the side, synced, renamed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// How the names of files in the making end; they begin with a dot.
const PART: &str = ".part";

/// A file in the making beside its final place. Dropped before [`Aside::commit`], it vanishes.
#[derive(Debug)]
pub struct Aside {
    file: BufWriter<File>,
    /// Where it is meanwhile.
    part: TempPath,
    path: PathBuf,
}

impl Aside {
    /// Begins the file that shall stand at `path`; makes its folder.
    ///
    /// # Errors
    /// When folder or file cannot be made; the error names the path.
    pub fn create(path: &Path) -> io::Result<Aside> {
        let create = || {
            let folder = folder(path);
            std::fs::create_dir_all(folder)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut builder = tempfile::Builder::new();
            let prefix = format!(".{name}.");
            builder.prefix(&prefix).suffix(PART);
            // Readable like any other file: tempfile's own choice is for secrets.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            builder.tempfile_in(folder)
        };
        let (file, part) = create().map_err(|error| at(path, error))?.into_parts();
        Ok(Aside { file: BufWriter::new(file), part, path: path.to_owned() })
    }

    /// Syncs the file and puts it in place, over an older one if there is one.
    ///
    /// # Errors
    /// When it cannot be written to the end or renamed; then the older file still stands.
    pub fn commit(self) -> io::Result<()> {
        let Aside { file, part, path } = self;
        let commit = || {
            let file = file.into_inner().map_err(|error| error.into_error())?;
            file.sync_all()?;
            part.persist(&path).map_err(|error| error.error)?;
            // The rename itself is durable only once the folder is.
            File::open(folder(&path))?.sync_all()
        };
        commit().map_err(|error| at(&path, error))
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a whole file to the side and puts it in place.
///
/// # Errors
/// As [`Aside::create`] and [`Aside::commit`].
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = Aside::create(path)?;
    aside.write_all(bytes).map_err(|error| at(path, error))?;
    aside.commit()
}

/// Removes what a process that was killed left in the making in `folder`. Nobody else may write there.
///
/// # Errors
/// When the folder cannot be read or written; the error names the path.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|error| at(folder, error))? {
        let path = entry.map_err(|error| at(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(PART) {
            std::fs::remove_file(&path).map_err(|error| at(&path, error))?;
        }
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The same error with the path in front, which the system leaves out, and the fix behind.
pub(crate) fn at(path: &Path, error: io::Error) -> io::Error {
    let fix = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (`ulimit -f`)",
        _ => "",
    };
    io::Error::new(error.kind(), format!("{}: {error}{fix}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_seen_before_the_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.txt");
        write(&path, b"old").unwrap();
        let mut aside = Aside::create(&path).unwrap();
        aside.write_all(b"new").unwrap();
        aside.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(aside);
        assert_eq!(names(path.parent().unwrap()), ["b.txt"]);

        let mut aside = Aside::create(&path).unwrap();
        aside.write_all(b"newer").unwrap();
        aside.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(names(path.parent().unwrap()), ["b.txt"]);
    }

    #[test]
    fn what_a_kill_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let mut aside = Aside::create(&dir.path().join("a.png")).unwrap();
        aside.write_all(b"half").unwrap();
        std::mem::forget(aside);
        std::fs::write(dir.path().join(".hidden"), "").unwrap();
        std::fs::write(dir.path().join("mine.part"), "").unwrap();
        assert_eq!(names(dir.path()).len(), 3);
        sweep(dir.path()).unwrap();
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, [".hidden", "mine.part"]);
    }

    #[test]
    fn errors_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let path = dir.path().join("file/inside.txt");
        let error = write(&path, b"x").unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
}
