//! `duel show`: the programs of an experiment.

use super::train::listing;
use super::{Ended, Failure, print};
use crate::cli::{Experiment, Globals};
use crate::layers;
use crate::session::{Need, Session};
use tape::Options;

pub(crate) fn run(globals: &Globals, experiment: &Experiment) -> Result<Ended, Failure> {
    let layered = layers::load(&experiment.file, &experiment.sets)?;
    let session = Session::open(&layered, globals, Need::Extents)?;
    let compiled = session.record().tape.compile(&Options::default());
    print(listing(&compiled, globals.cores(), session.real_bytes()).trim_end());
    Ok(Ended::Done)
}
