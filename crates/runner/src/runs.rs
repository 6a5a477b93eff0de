//! The runs below a folder: what each is, how far it came, and what it told last.

use crate::ablation::table::RECORD;
use crate::command::Failure;
use crate::run_dir::{FAILURE, at, last_checkpoint};
use crate::state::{State, length, shown, state};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Folders within folders are looked at down to here.
const DEPTH: usize = 8;

/// The end of a log that surely holds a whole line.
const TAIL: u64 = 1 << 16;

/// One run, as a listing shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Run {
    /// Its directory.
    pub run: PathBuf,
    /// `running`, `finished`, `interrupted`, `failed`, or `unreadable` with the reason.
    pub state: &'static str,
    /// The error that it ended with, or why it cannot be read.
    pub reason: Option<String>,
    /// Images shown; of an interrupted run, those that its newest checkpoint keeps.
    pub images: Option<u64>,
    /// Images in all.
    pub of: Option<u64>,
    /// Seconds until the end at the pace of the last report.
    pub seconds_left: Option<u64>,
    /// D(x), of the last report.
    pub d_real: Option<f64>,
    /// D(G(z)).
    pub d_fake: Option<f64>,
    /// V(D, G).
    pub value: Option<f64>,
    /// Diversity of samples, as a ratio to the data's.
    pub diversity: Option<f64>,
    /// Pace.
    pub images_per_second: Option<f64>,
    /// Alarms of the last report.
    pub alarms: Vec<String>,
    /// When something was written last, in seconds since 1970.
    pub updated: u64,
}

/// Every run in a folder or below it, the one that was written to last first. What cannot be read is
/// listed with its reason.
pub(crate) fn below(folder: &Path) -> Vec<Run> {
    let mut found = Vec::new();
    walk(folder, DEPTH, &mut BTreeSet::new(), &mut found);
    found.sort_by(|a, b| b.updated.cmp(&a.updated).then_with(|| a.run.cmp(&b.run)));
    found
}

fn walk(folder: &Path, depth: usize, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<Run>) {
    // Links are followed, so a folder may lead back to one above it.
    let new = folder.canonicalize().is_ok_and(|path| seen.insert(path));
    if !new || depth == 0 {
        return;
    }
    // An ablation has a lock of its own, and its runs below it.
    let is = |sign: &&str| folder.join(sign).exists();
    if !is(&RECORD) && [".lock", "resolved.yaml"].iter().any(is) {
        return found.push(look(folder));
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return found.push(unreadable(folder, &at(folder, &error))),
    };
    let hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && !hidden(&path) {
            walk(&path, depth - 1, seen, found);
        }
    }
}

fn look(path: &Path) -> Run {
    read(path).unwrap_or_else(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &Failure) -> Run {
    let reason = Some(error.to_string());
    let updated = seconds(updated(path));
    Run { run: path.to_path_buf(), state: "unreadable", reason, updated, ..Run::default() }
}

fn read(path: &Path) -> Result<Run, Failure> {
    let state = state(path)?;
    let written = updated(path);
    let line = last_line(&path.join("metrics.jsonl"))?;
    let number = |key: &str| line.get(key).and_then(Value::as_f64);
    let told = line.get("images").and_then(Value::as_u64).unwrap_or(0);
    let alarms = line.get("alarms").and_then(Value::as_array).into_iter().flatten();
    let mut run = Run {
        run: path.to_path_buf(),
        d_real: number("d_real"),
        d_fake: number("d_fake"),
        value: number("value"),
        diversity: number("diversity"),
        images_per_second: number("images_per_second"),
        alarms: alarms.filter_map(|name| name.as_str().map(str::to_string)).collect(),
        updated: seconds(written),
        ..Run::default()
    };
    (run.state, run.images) = match state {
        State::Running if !path.join("resolved.yaml").exists() => {
            // It begins at this very moment.
            return Ok(Run { state: "running", ..run });
        }
        State::Running => ("running", Some(told.max(shown(path)?))),
        State::Finished => ("finished", Some(shown(path)?)),
        State::Fresh | State::Interrupted { .. } => ("interrupted", Some(shown(path)?)),
        State::Failed { reason } => {
            run.reason = Some(reason);
            ("failed", Some(shown(path)?))
        }
    };
    run.of = Some(length(path)?);
    if run.state == "running" {
        let since = written.and_then(|time| time.elapsed().ok()).unwrap_or_default();
        run.seconds_left = left(&run).map(|left| left.saturating_sub(since.as_secs()));
    }
    Ok(run)
}

/// Seconds that the images to come take at the pace of the last report.
fn left(run: &Run) -> Option<u64> {
    let pace = run.images_per_second.filter(|pace| *pace > 0.0)?;
    Some((run.of?.saturating_sub(run.images?) as f64 / pace).ceil() as u64)
}

/// The last complete line of a log, an empty object without one. A process may be writing the next.
pub(crate) fn last_line(log: &Path) -> Result<Value, Failure> {
    let nothing = || Value::Object(serde_json::Map::new());
    if !log.exists() {
        return Ok(nothing());
    }
    let tail = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = tail().map_err(|error| at(log, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let Some((whole, _)) = text.rsplit_once('\n') else { return Ok(nothing()) };
    let line = whole.rsplit_once('\n').map_or(whole, |(_, line)| line);
    let parsed = serde_json::from_str(line);
    Ok(parsed.map_err(|error| format!("{}: its last line is no JSON: {error}", log.display()))?)
}

/// When a run was written to last.
fn updated(path: &Path) -> Option<SystemTime> {
    let newest = last_checkpoint(path).ok().flatten();
    let files = ["metrics.jsonl", "resolved.yaml", FAILURE].map(|name| path.join(name));
    let files = files.into_iter().chain(newest).chain([path.to_path_buf()]);
    files.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

fn seconds(time: Option<SystemTime>) -> u64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}
