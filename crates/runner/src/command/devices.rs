//! `duel devices`: the GPUs that are here.

use super::{Ended, Failure, print};
use crate::gpus::Gpus;

pub(crate) fn run(json: bool) -> Result<Ended, Failure> {
    let gpus = Gpus::find();
    print(if json { serde_json::to_string_pretty(&gpus)? } else { gpus.told() });
    Ok(Ended::Done)
}
