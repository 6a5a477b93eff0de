//! `duel resume`: goes on with a run from its last checkpoint.

use super::train::play;
use super::{Ended, Failure, print};
use crate::cli::Globals;
use crate::layers::{self, Layered};
use crate::ranks::{self, Rank};
use crate::run_dir::{RunDir, last_checkpoint, require};
use crate::session::{self, Need, Session};
use crate::target::Purpose;
use std::path::Path;
use std::sync::Arc;
use train::{Checkpoint, Peers};

pub(crate) fn run(globals: &Globals, path: &Path, ranks: Option<u16>) -> Result<Ended, Failure> {
    require(path)?;
    let layered = layers::load(&path.join("resolved.yaml"), &[])?;
    let wanted = session::ranks(&layered, ranks.map(usize::from))?;
    ranks::start(wanted, |rank| as_rank(globals, path, &layered, rank))
}

fn as_rank(
    globals: &Globals,
    path: &Path,
    layered: &Layered,
    rank: &Arc<Rank>,
) -> Result<Ended, Failure> {
    // The first rank alone looks further, and tells the others.
    let mut run = None;
    let mut checkpoint = None;
    if rank.is_first() {
        run = Some(RunDir::open(path)?);
        checkpoint = last(path)?;
    }
    let session = Session::open_as(rank, layered, globals, Need::Samples, Purpose::GoOn)?;
    let images = checkpoint.as_ref().map_or(0, |c| c.header.progress.images);
    let images = rank.all_gather("how far the run is", &images.to_le_bytes())?.swap_remove(0);
    let images = u64::from_le_bytes(images.try_into().map_err(|_| "rank 0 told no number")?);
    if images >= session.spec.images.0 {
        if let Some(run) = &run {
            run.forget_failure()?;
            eprintln!("{}: all {images} images were shown already", path.display());
            print(path.display());
        }
        return Ok(Ended::Done);
    }
    let recorded = session.record();
    if let Some(checkpoint) = &checkpoint {
        // Before the log is cut back to it.
        checkpoint.check(&session.spec, &recorded, session.target.real_bytes())?;
    }
    session.check_memory(&session.compile(&recorded))?;
    rank.agree(&session, &recorded)?;
    play(globals, &session, recorded, run, checkpoint.as_ref())
}

/// The newest checkpoint.
fn last(path: &Path) -> Result<Option<Checkpoint>, Failure> {
    match last_checkpoint(path)? {
        Some(file) => Ok(Some(Checkpoint::read(&file)?)),
        None => {
            if path.join("metrics.jsonl").exists() {
                eprintln!("{}: no checkpoint yet, so it starts anew", path.display());
            }
            Ok(None)
        }
    }
}
