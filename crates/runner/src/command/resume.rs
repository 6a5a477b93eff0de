//! `duel resume`: goes on with a run from its last checkpoint.

use super::train::play;
use super::{Ended, Failure, print};
use crate::cli::Globals;
use crate::layers;
use crate::run_dir::{RunDir, last_checkpoint};
use crate::session::{Need, Session};
use crate::target::Purpose;
use std::path::Path;
use train::Checkpoint;

pub(crate) fn run(globals: &Globals, path: &Path) -> Result<Ended, Failure> {
    let run = RunDir::open(path)?;
    let layered = layers::load(&path.join("resolved.yaml"), &[])?;
    let checkpoint = match last_checkpoint(path)? {
        Some(file) => Some(Checkpoint::read(&file)?),
        None => {
            if path.join("metrics.jsonl").exists() {
                eprintln!("{}: no checkpoint yet, so it starts anew", path.display());
            }
            None
        }
    };
    let session = Session::open(&layered, globals, Need::Samples, Purpose::GoOn)?;
    let images = checkpoint.as_ref().map_or(0, |c| c.header.progress.images);
    if images >= session.spec.images.0 {
        run.forget_failure()?;
        eprintln!("{}: all {images} images were shown already", path.display());
        print(path.display());
        return Ok(Ended::Done);
    }
    let recorded = session.record();
    if let Some(checkpoint) = &checkpoint {
        // Before the log is cut back to it.
        checkpoint.check(&session.spec, &recorded, session.target.real_bytes())?;
    }
    session.check_memory(&session.compile(&recorded))?;
    play(globals, &session, recorded, run, checkpoint.as_ref())
}
