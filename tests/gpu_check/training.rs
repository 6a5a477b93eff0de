//! Training as people start it: to a known loss, to the same bytes again, and after a stop.

use crate::arguments::Arguments;
use crate::child;
use crate::experiments::{SPOTS, spots};
use crate::row::Row;
use crate::stages::{Failed, attempt, duel};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STAGE: &str = "training";
/// Of one run.
const LIMIT: Duration = Duration::from_secs(60);
/// Where losses of D and of G end, means over the last sixty of 300 steps: on cores in f32, seeds 0 to 7 gave
/// 0.00 to 0.00 and 0.00 to 0.00; the band is as wide again on both sides.
const BANDS: [(&str, [f64; 2]); 2] = [("loss_d", [0.0, 2.0]), ("loss_g", [0.0, 5.0])];

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let file = experiment(arguments)?;
    for precision in ["f32", "bf16"] {
        let sets = format!("precision={precision}");
        let check = format!("losses after 300 steps, {precision}");
        let first = arguments.out.join("runs").join(precision);
        attempt(STAGE, &check, || {
            train(arguments, &file, &first, &[&sets])?;
            within(&check, &first, arguments.toy)
        });
        let check = format!("the same bytes again, {precision}");
        attempt(STAGE, &check, || {
            let second = arguments.out.join("runs").join(format!("{precision}-again"));
            train(arguments, &file, &second, &[&sets])?;
            same(STAGE, &check, &first, &second)
        });
    }
    Ok(())
}

/// Stops in the middle and goes on.
pub fn resume(arguments: &Arguments) -> Result<(), Failed> {
    const STAGE: &str = "resume";
    let file = experiment(arguments)?;
    for precision in ["f32", "bf16"] {
        let check = format!("10 steps, a stop, 10 steps, {precision}");
        attempt(STAGE, &check, || {
            let [whole, half] =
                ["whole", "half"].map(|name| arguments.out.join("runs").join(format!("{name}-{precision}")));
            let batch = batch(arguments);
            let sets = [
                format!("precision={precision}"),
                format!("images={}", 20 * batch),
                format!("every.checkpoint={}", 10 * batch),
            ];
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            train(arguments, &file, &whole, &sets)?;
            train(arguments, &file, &half, &sets)?;
            for path in checkpoints(&half)?.split_off(1) {
                fs::remove_file(path)?;
            }
            let mut command = duel(arguments);
            command.arg("resume").arg(&half);
            finished(&mut command, &half)?;
            same(STAGE, &check, &whole, &half)
        });
    }
    Ok(())
}

/// Writes the experiment and its data.
pub fn experiment(arguments: &Arguments) -> Result<PathBuf, Failed> {
    spots(&arguments.out.join("datasets"))?;
    fs::create_dir_all(arguments.out.join("runs"))?;
    let file = arguments.out.join("spots.yaml");
    fs::write(&file, SPOTS)?;
    Ok(file)
}

fn batch(arguments: &Arguments) -> usize {
    if arguments.toy { 4 } else { 64 }
}

/// `duel train` on the GPU, to its end.
fn train(arguments: &Arguments, file: &Path, run: &Path, sets: &[&str]) -> Result<(), Failed> {
    let mut command = duel(arguments);
    train_words(arguments, &mut command, file, run, sets);
    finished(&mut command, run)
}

/// Its words.
pub fn train_words(
    arguments: &Arguments,
    command: &mut std::process::Command,
    file: &Path,
    run: &Path,
    sets: &[&str],
) {
    fs::remove_dir_all(run).ok();
    command.arg("train").arg(file).arg("--out").arg(run).args(["--set", "device=cuda"]);
    if arguments.toy {
        let toy = ["batch=4", "images=16", "model.dcgan.width=4", "every.checkpoint=8"];
        toy.iter().for_each(|set| drop(command.args(["--set", set])));
    }
    sets.iter().for_each(|set| drop(command.args(["--set", set])));
}

fn finished(command: &mut std::process::Command, run: &Path) -> Result<(), Failed> {
    let log = run.with_extension("log");
    let (_, ended) = child::run(command, &log, LIMIT)?;
    match ended.wrong(&log) {
        Some(why) => Err(why.into()),
        None => Ok(()),
    }
}

/// The last line of a run's log within the bands.
fn within(check: &str, run: &Path, toy: bool) -> Result<Row, Failed> {
    let text = fs::read_to_string(run.join("metrics.jsonl"))?;
    let last: Value = serde_json::from_str(text.lines().last().ok_or("an empty log")?)?;
    let mut told = Vec::new();
    let mut reason = None;
    for (name, [low, high]) in BANDS {
        let loss = last[name].as_f64().ok_or(format!("no {name} in {last}"))?;
        told.push(format!("{name} {loss:.3} ({low} to {high})"));
        if !toy && !(low..=high).contains(&loss) {
            reason = Some(format!("{name} is outside"));
        }
    }
    Ok(Row::unless(STAGE, check, reason).figure(told.join(", ")).data(last))
}

/// Checkpoints of a run, oldest first.
fn checkpoints(run: &Path) -> Result<Vec<PathBuf>, Failed> {
    let entries = fs::read_dir(run.join("checkpoints"))?;
    let mut all = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    all.sort();
    Ok(all)
}

/// The last checkpoints of two runs, byte for byte.
fn same(stage: &str, check: &str, a: &Path, b: &Path) -> Result<Row, Failed> {
    let last = |run: &Path| -> Result<Vec<u8>, Failed> {
        Ok(fs::read(checkpoints(run)?.last().ok_or("no checkpoint")?)?)
    };
    let [a, b] = [last(a)?, last(b)?];
    let apart = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    let reason = (a != b).then(|| format!("{apart} bytes differ"));
    let figure = format!("checkpoint of {} bytes", a.len());
    Ok(Row::unless(stage, check, reason).figure(figure).data(json!({"bytes": a.len()})))
}
