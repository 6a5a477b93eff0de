//! `duel show`: the programs of an experiment.

use super::train::listing;
use super::{Ended, Failure, print};
use crate::cli::{Experiment, Globals};
use crate::layers;
use crate::session::{Need, Session};
use crate::target::Purpose;

pub(crate) fn run(globals: &Globals, experiment: &Experiment) -> Result<Ended, Failure> {
    let layered = layers::load(&experiment.file, &experiment.sets)?;
    let session = Session::open(&layered, globals, Need::Extents, Purpose::Begin)?;
    let compiled = session.compile(&session.record());
    print(listing(&compiled, &session.target, globals.cores())?.trim_end());
    Ok(Ended::Done)
}
