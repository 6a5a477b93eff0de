//! `duel data`: prepare, fetch, import, inspect, verify.

mod own;

use super::{Ended, Failure, print};
use crate::ablation::asked::{Ablation, is_ablation};
use crate::bar::Bar;
use crate::cli::{Data, Globals, Import};
use crate::layers;
use crate::session::{experiment, recipe, split_folder};
use data::Recipe;
use std::path::{Path, PathBuf};

pub(crate) fn run(globals: &Globals, command: &Data) -> Result<Ended, Failure> {
    let here = Path::new(".");
    match command {
        Data::Prepare { experiment } => {
            let beside = experiment.file.parent().unwrap_or(here);
            let mut prepared = Vec::new();
            for data in needed(&experiment.file, &experiment.sets)? {
                if !prepared.contains(&data) {
                    prepare(globals, &data, beside)?;
                    prepared.push(data);
                }
            }
        }
        Data::Fetch { recipe: name } => {
            let recipe = recipe(name, here)?;
            fetch(globals, &recipe)?;
            print(cache(globals, &recipe).display());
        }
        Data::Import(Import { original: Some(original), .. }) => {
            own::import(globals, original)?;
        }
        Data::Import(Import { recipe: name, original: None }) => {
            let recipe = recipe(name.as_deref().unwrap_or_default(), here)?;
            let fetched = fetch(globals, &recipe)?;
            import(globals, &recipe, &fetched)?;
        }
        Data::Inspect { split } => inspect(split)?,
        Data::Verify { split } => verify(split)?,
    }
    Ok(Ended::Done)
}

/// The data of an experiment, or of every variant of an ablation.
fn needed(file: &Path, sets: &[String]) -> Result<Vec<train::Data>, Failure> {
    if is_ablation(file)? {
        let ablation = Ablation::load(file, sets, false)?;
        return Ok(ablation.variants.iter().map(|variant| variant.experiment(0).data).collect());
    }
    Ok(vec![experiment(&layers::load(file, sets)?)?.data])
}

/// Makes what is needed; nothing where it is there already.
fn prepare(globals: &Globals, data: &train::Data, beside: &Path) -> Result<(), Failure> {
    let train::Data::Images { set, split, .. } = data else { return Ok(()) };
    let folder = split_folder(globals, set, *split);
    if folder.exists() {
        eprintln!("{}: there already", folder.display());
        return Ok(());
    }
    let recipe = recipe(set, beside)?;
    let fetched = fetch(globals, &recipe)?;
    import(globals, &recipe, &fetched)
}

/// Where fetched files lie.
fn cache(globals: &Globals, recipe: &Recipe) -> PathBuf {
    globals.data.join(".cache").join(&recipe.name)
}

fn fetch(globals: &Globals, recipe: &Recipe) -> Result<data::Fetched, Failure> {
    eprintln!("{}: {} Licence: {}.", recipe.name, recipe.description, recipe.licence);
    let mut bar = Bar::new("bytes");
    let fetched = data::fetch(recipe, &cache(globals, recipe), &mut |what, done, total| {
        bar.update(what, done, total);
    });
    bar.finish();
    let fetched = fetched?;
    match fetched.new.len() {
        0 => eprintln!("{}: every file is here already", recipe.name),
        n => eprintln!("{}: fetched and checked {n} files", recipe.name),
    }
    Ok(fetched)
}

fn import(globals: &Globals, recipe: &Recipe, fetched: &data::Fetched) -> Result<(), Failure> {
    let mut bar = Bar::new("images");
    let (root, threads) = (&globals.data, own::threads(globals));
    let manifests =
        data::import::recipe(recipe, fetched, root, threads, &mut |split, done, all| {
            bar.update(split, done, all);
        });
    bar.finish();
    let manifests = manifests?;
    for (split, manifest) in recipe.splits.keys().zip(manifests) {
        let folder = globals.data.join(&recipe.name).join(split);
        eprintln!("{}: {} images", folder.display(), manifest.rows);
        print(folder.display());
    }
    Ok(())
}

fn inspect(split: &Path) -> Result<(), Failure> {
    let summary = data::inspect(split)?;
    let manifest = &summary.manifest;
    let [h, w, c] = manifest.shape;
    let mut lines = vec![
        format!("rows      {}", manifest.rows),
        format!("image     {h} × {w} × {c}, u8"),
        format!("shards    {}, {} bytes", manifest.shards.len(), summary.bytes),
    ];
    lines.extend(manifest.resize.iter().map(|how| format!("resize    {how}")));
    lines.extend((manifest.skipped > 0).then(|| format!("skipped   {}", manifest.skipped)));
    for original in &manifest.sources {
        lines.push(format!("source    {}  sha256 {}", original.file, original.sha256));
    }
    for (channel, (mean, std)) in summary.mean.iter().zip(&summary.std).enumerate() {
        lines.push(format!("channel {channel} mean {mean:.3}, standard deviation {std:.3}"));
    }
    for (label, count) in manifest.class_counts.iter().enumerate() {
        let name = manifest.classes.get(label).map_or(String::new(), |name| format!("  {name}"));
        lines.push(format!("class {label:>3} {count:>8}{name}"));
    }
    print(lines.join("\n"));
    Ok(())
}

fn verify(split: &Path) -> Result<(), Failure> {
    let mut bar = Bar::new("bytes");
    let report = data::verify(split, &mut |done, total| bar.update("verify", done, total));
    bar.finish();
    let report = report?;
    if !report.problems.is_empty() {
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        return Err(problems.join("\n  ").into());
    }
    let (shards, batches, bytes) = (report.shards, report.batches, report.bytes);
    print(format!(
        "{}: intact, {shards} shards, {batches} batches, {bytes} bytes",
        split.display()
    ));
    Ok(())
}
