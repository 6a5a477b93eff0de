//! `duel schema`: what an editor should know of a YAML.

use super::{Ended, Failure, print};
use crate::cli::Kind;
use crate::schema;

pub(crate) fn run(of: Kind) -> Result<Ended, Failure> {
    let schema = match of {
        Kind::Experiment => schema::experiment(),
        Kind::Ablation => schema::ablation(),
    };
    print(serde_json::to_string_pretty(&schema)?);
    Ok(Ended::Done)
}
