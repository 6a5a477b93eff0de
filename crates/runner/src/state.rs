//! What became of a run, read from its directory without disturbing whoever works there.

use crate::command::Failure;
use crate::layers::{ConfigError, read_map};
use crate::run_dir::{FAILURE, is_locked, last_checkpoint, require};
use serde::Deserialize;
use std::fs;
use std::path::Path;
use train::Count;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is there: it can be started.
    Fresh,
    /// A living process works on it.
    Running,
    /// The newest checkpoint has shown all images.
    Finished,
    /// Its process is gone; `duel resume` goes on with it.
    Interrupted {
        /// Images that the newest checkpoint has shown.
        images: u64,
    },
    /// It ended with an error; a resume tries again.
    Failed {
        /// The error.
        reason: String,
    },
}

/// The state of the run in a directory.
///
/// # Errors
/// A directory that is no run, or that cannot be read.
pub(crate) fn state(run: &Path) -> Result<State, Failure> {
    if !run.exists() {
        return Ok(State::Fresh);
    }
    // First: a run that begins has its lock before anything else.
    if is_locked(run)? {
        return Ok(State::Running);
    }
    require(run)?;
    match fs::read_to_string(run.join(FAILURE)) {
        Ok(reason) => return Ok(State::Failed { reason: reason.trim_end().to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(crate::run_dir::at(&run.join(FAILURE), &error)),
    }
    let images = shown(run)?;
    Ok(if images >= length(run)? { State::Finished } else { State::Interrupted { images } })
}

/// Images that a run shows in all, by its `resolved.yaml`. Only this key is read, so runs of other
/// versions have a length as well.
pub(crate) fn length(run: &Path) -> Result<u64, Failure> {
    let path = run.join("resolved.yaml");
    let file = read_map(&path)?;
    let images = file.get("images").ok_or_else(|| {
        ConfigError::in_file(
            &path,
            "missing key `images`; it is written by `duel train`, so restore it",
        )
    })?;
    let count = Count::deserialize(images);
    Ok(count.map_err(|error| ConfigError::in_file(&path, format!("`images`: {error}")))?.0)
}

/// Images that the newest checkpoint of a run has shown; 0 without one.
pub(crate) fn shown(run: &Path) -> Result<u64, Failure> {
    let newest = last_checkpoint(run)?;
    let name = newest.as_deref().and_then(Path::file_stem).and_then(|stem| stem.to_str());
    // Checkpoints are named after their images.
    Ok(name.and_then(|name| name.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::RunDir;

    fn state_of(run: &Path) -> State {
        state(run).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_state_has_its_signs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        assert_eq!(state_of(&path), State::Fresh);
        let run = RunDir::create(&path).unwrap();
        assert_eq!(state_of(&path), State::Running);
        drop(run);
        let error = state(&path).unwrap_err().to_string();
        assert!(error.contains("found no `resolved.yaml`"), "{error}");
        fs::write(path.join("resolved.yaml"), "images: 1k\nof_a_later_version: 1\n").unwrap();
        assert_eq!(state_of(&path), State::Interrupted { images: 0 });
        fs::write(path.join("checkpoints/000000000960.safetensors"), "").unwrap();
        assert_eq!(state_of(&path), State::Interrupted { images: 960 });
        fs::write(path.join(FAILURE), "the disk is full\n").unwrap();
        assert_eq!(state_of(&path), State::Failed { reason: "the disk is full".to_string() });
        let run = RunDir::open(&path).unwrap();
        assert_eq!(state_of(&path), State::Running);
        run.forget_failure().unwrap();
        drop(run);
        fs::write(path.join("checkpoints/000000001024.safetensors"), "").unwrap();
        assert_eq!(state_of(&path), State::Finished);
    }

    /// Whoever asks for the state holds the lock for a moment; no run may fail for that.
    #[test]
    fn asking_does_not_keep_a_run_from_starting() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        drop(RunDir::create(&path).unwrap());
        fs::write(path.join("resolved.yaml"), "images: 1k\n").unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        state_of(&path);
                    }
                });
            }
            let opened: Vec<_> = (0..200).map(|_| RunDir::open(&path).map(drop)).collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            for result in opened {
                result.unwrap_or_else(|error| panic!("{error}"));
            }
        });
    }
}
