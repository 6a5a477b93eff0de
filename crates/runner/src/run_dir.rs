//! The directory of a run: what lies where, and that nobody overwrites it.

use crate::aside;
use crate::command::Failure;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Folders of a run.
const PARTS: [&str; 2] = ["samples", "checkpoints"];

/// The error that a run ended with.
pub(crate) const FAILURE: &str = "failure.txt";

/// A file that is locked while a process works in the directory.
const LOCK: &str = ".lock";

/// A run directory that this process alone works in, as long as a clone of this value is there.
#[derive(Clone)]
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: Arc<File>,
}

impl RunDir {
    /// Makes a new one; never touches one that is there.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        if path.exists() {
            let dir = path.display();
            return Err(format!(
                "{dir}: there is a run here already; `duel resume {dir}` goes on with it, \
                 `--out DIR` puts a new one elsewhere"
            )
            .into());
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|e| at(parent, &e))?;
        // Whoever makes the directory has it: two processes cannot both succeed.
        fs::create_dir(path).map_err(|e| at(path, &e))?;
        for part in PARTS {
            let part = path.join(part);
            fs::create_dir(&part).map_err(|e| at(&part, &e))?;
        }
        Self::lock(path)
    }

    /// Opens one to go on with, and clears away what a process that was killed there left half done.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        require(path)?;
        let run = Self::lock(path)?;
        aside::sweep(path)?;
        for part in PARTS {
            aside::sweep(&path.join(part))?;
        }
        Ok(run)
    }

    fn lock(path: &Path) -> Result<Self, Failure> {
        let lock = path.join(LOCK);
        let file = File::create(&lock).map_err(|e| at(&lock, &e))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { path: path.to_path_buf(), _lock: Arc::new(file) }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(at(&lock, &error)),
            }
            if is_locked(path)? {
                return Err(format!("{}: another process trains here", path.display()).into());
            }
            // Someone looked whether a run is here, which takes microseconds.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the directory as a whole.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        Ok(aside::write(&self.path.join(name), bytes)?)
    }

    /// Removes the error that an earlier part of the run ended with.
    pub fn forget_failure(&self) -> Result<(), Failure> {
        let path = self.path.join(FAILURE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Puts aside, in the folder `abandoned-N`, what the run has made since so many images were shown:
    /// its log up to now, and its pictures and checkpoints, newest first, so that at any moment the
    /// newest checkpoint that is left has all before it.
    pub fn abandon(&self, rollback: u64, images: u64) -> Result<(), Failure> {
        let away = self.path.join(format!("abandoned-{rollback}"));
        for part in PARTS {
            let part = away.join(part);
            fs::create_dir_all(&part).map_err(|e| at(&part, &e))?;
        }
        // Of a process that was killed here.
        aside::sweep(&away)?;
        let log = self.path.join("metrics.jsonl");
        let lines = fs::read(&log).map_err(|e| at(&log, &e))?;
        aside::write(&away.join("metrics.jsonl"), &lines)?;
        for part in PARTS {
            let folder = self.path.join(part);
            let later = numbered(&folder)?.into_iter().rev();
            for (_, path) in later.take_while(|(at, _)| *at > images) {
                let name = path.file_name().expect("it is numbered");
                fs::rename(&path, away.join(part).join(name)).map_err(|e| at(&path, &e))?;
            }
            // Names are on the disk when their folders are.
            for folder in [folder, away.join(part)] {
                File::open(&folder).and_then(|f| f.sync_all()).map_err(|e| at(&folder, &e))?;
            }
        }
        Ok(())
    }

    /// Where the checkpoint at so many images lies.
    pub fn checkpoint(&self, images: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("{images:012}.safetensors"))
    }
}

/// Refuses what is no run, before anything is written there.
pub(crate) fn require(path: &Path) -> Result<(), Failure> {
    let dir = path.display();
    if !path.is_dir() {
        return Err(format!("{dir}: no such run directory").into());
    }
    if !path.join("resolved.yaml").is_file() {
        return Err(format!(
            "{dir}: found no `resolved.yaml`, expected the directory of a run, as `duel train` prints \
             it; if a run was cut short here before it began, delete the directory and train again"
        )
        .into());
    }
    Ok(())
}

/// Whether a process works in a directory. Shared locks do not keep each other out, so those who ask
/// are never taken for one who works, and a run that begins meanwhile tries again.
pub(crate) fn is_locked(run: &Path) -> Result<bool, Failure> {
    let lock = run.join(LOCK);
    let file = match File::open(&lock) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(at(&lock, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(at(&lock, &error)),
    }
}

/// The newest checkpoint of a run.
pub(crate) fn last_checkpoint(run: &Path) -> Result<Option<PathBuf>, Failure> {
    Ok(checkpoints(run)?.pop().map(|(_, path)| path))
}

/// The checkpoints of a run, oldest first, with the images shown by then.
pub(crate) fn checkpoints(run: &Path) -> Result<Vec<(u64, PathBuf)>, Failure> {
    let mut all = numbered(&run.join("checkpoints"))?;
    all.retain(|(_, path)| path.extension().is_some_and(|e| e == "safetensors"));
    Ok(all)
}

/// Files named after a number of images, by that number.
fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| at(folder, &e))? {
        let path = entry.map_err(|e| at(folder, &e))?.path();
        let images = path.file_stem().and_then(|stem| stem.to_str()).filter(|s| s.len() == 12);
        let images = images.and_then(|stem| stem.parse().ok());
        if let Some(images) = images {
            found.push((images, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The pictures of samples that a run has drawn, oldest first, with the images shown by then.
pub(crate) fn pictures(run: &Path) -> Result<Vec<(u64, PathBuf)>, Failure> {
    let mut all = numbered(&run.join("samples"))?;
    all.retain(|(_, path)| path.extension().is_some_and(|e| e == "png"));
    Ok(all)
}

/// An error of the file system, with the path that it is about.
pub(crate) fn at(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}
