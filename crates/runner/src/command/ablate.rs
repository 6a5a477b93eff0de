//! `duel ablate`: the variants of an ablation with all their seeds, and the table.

use super::{Ended, Failure, print};
use crate::ablation::asked::{Ablation, Variant};
use crate::ablation::cost::{Cost, Costs, told};
use crate::ablation::play::{Outcome, Play};
use crate::ablation::run::runs;
use crate::ablation::table::{RECORD, Record, read};
use crate::aside;
use crate::cli::{Ablate, Globals};
use crate::nearest::advice;
use crate::ranks;
use crate::report::ablation_page;
use crate::run_dir::at;
use crate::session::Need;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::Path;

pub(crate) fn run(globals: &Globals, words: &Ablate) -> Result<Ended, Failure> {
    let launch = ranks::launch()?;
    if launch.world > 1 {
        return Err(format!(
            "{} has started {} ranks, and an ablation starts its own runs: start `duel ablate` once, with \
             `ranks` in its file or `--set ranks=N`",
            launch.launcher, launch.world
        )
        .into());
    }
    let mut ablation = Ablation::load(&words.experiment.file, &words.experiment.sets, words.smoke)?;
    check_only(&ablation, &words.only)?;
    ablation.settle(globals)?;
    let folder = match &words.out {
        Some(out) => out.clone(),
        None => Path::new("runs").join(&ablation.name),
    };
    let wanted = |variant: &Variant| words.only.is_empty() || words.only.contains(&variant.name);
    let runs = runs(&ablation, &folder, wanted);
    let jobs = (words.jobs as usize).min(runs.len());
    for run in &runs {
        run.check(&ablation.file)?;
    }
    let need = if words.dry_run { Need::Extents } else { Need::Samples };
    let threads = (globals.cores() / jobs).max(1);
    let mut costs = Costs::new();
    for variant in ablation.variants.iter().filter(|variant| wanted(variant)) {
        costs.insert(&variant.name, Cost::of(&ablation, variant, globals, threads, need)?);
    }
    if words.dry_run {
        print(told(&ablation, &costs, &runs, jobs));
        return Ok(Ended::Done);
    }
    let _lock = open(&folder)?;
    Record::new(&ablation).write(&folder)?;
    let yaml = fs::read(&ablation.file).map_err(|error| at(&ablation.file, &error))?;
    aside::write(&folder.join("ablation.yaml"), &yaml)?;
    let work = runs.iter().map(|run| costs[run.variant.name.as_str()].flops()).collect();
    let outcome = Play::new(globals, &folder, &runs, work, jobs)?.play()?;
    print(read(&folder)?.terminal());
    eprintln!("{}", folder.join("table.md").display());
    let page = ablation_page(&folder);
    if let Ok(page) = &page {
        eprintln!("{}", page.display());
    }
    match outcome {
        Outcome::Stopped => {
            eprintln!("stopped; the same command goes on");
            Ok(Ended::Stopped)
        }
        Outcome::Over(failures) if failures.is_empty() => page.map(|_| Ended::Done),
        Outcome::Over(failures) => {
            let (failed, all) = (failures.len(), runs.len());
            let failures = failures.join("\n").replace('\n', "\n  ");
            Err(format!(
                "{failed} of {all} runs failed; the same command tries them again\n  {failures}"
            )
            .into())
        }
    }
}

fn check_only(ablation: &Ablation, only: &[String]) -> Result<(), Failure> {
    let names = || ablation.variants.iter().map(|variant| variant.name.as_str());
    match only.iter().find(|name| !names().any(|other| other == *name)) {
        None => Ok(()),
        Some(name) => {
            let (file, near) = (ablation.file.display(), advice(name, names()));
            Err(format!("--only {name}: no such variant in {file}{near}").into())
        }
    }
}

/// Makes the folder, or goes on in it; no other process ablates there meanwhile.
fn open(folder: &Path) -> Result<File, Failure> {
    fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
    let mut entries = fs::read_dir(folder).map_err(|error| at(folder, &error))?;
    let visible = |name: &OsStr| !name.to_string_lossy().starts_with('.');
    let used = entries.any(|entry| entry.is_ok_and(|entry| visible(&entry.file_name())));
    let here = folder.display();
    if used && !folder.join(RECORD).exists() {
        return Err(format!(
            "{here}: found files but no `{RECORD}`, expected an ablation or nothing; `--out DIR` puts it \
             elsewhere"
        )
        .into());
    }
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(|error| at(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let hint = "`--jobs N` runs several of its runs at once";
            return Err(format!("{here}: another `duel ablate` is at work here; {hint}").into());
        }
        Err(TryLockError::Error(error)) => return Err(at(&path, &error)),
    }
    aside::sweep(folder)?;
    Ok(file)
}
