//! `duel report`: runs and ablations as pages to look at.

use super::{Ended, Failure, print};
use crate::cli::Globals;
use crate::report::{ablation_page, run_page};
use crate::run_dir::require;
use std::path::{Path, PathBuf};

pub(crate) fn run(globals: &Globals, folders: &[PathBuf]) -> Result<Ended, Failure> {
    let mut failures = Vec::new();
    for folder in folders {
        match page(globals, folder) {
            Ok(page) => print(page.display()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match failures.is_empty() {
        true => Ok(Ended::Done),
        // The other pages are there.
        false => Err(failures.join("\n  ").into()),
    }
}

fn page(globals: &Globals, folder: &Path) -> Result<PathBuf, Failure> {
    if folder.join("ablation.json").is_file() {
        return ablation_page(folder);
    }
    if folder.is_dir() && !folder.join("resolved.yaml").is_file() {
        return Err(format!(
            "{}: found neither `resolved.yaml` nor `ablation.json`, expected the directory of a run \
             or of an ablation",
            folder.display()
        )
        .into());
    }
    require(folder)?;
    run_page(globals, folder)
}
