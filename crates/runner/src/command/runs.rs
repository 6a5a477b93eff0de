//! `duel runs`: a table of the runs below a folder.

use super::{Ended, Failure, print};
use crate::cli::Runs;
use crate::listing::table;
use crate::progress::{count, span};
use crate::runs::{Run, below};
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, Table};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Terminals that are narrower do without the columns of lesser weight.
const WIDE: u16 = 100;

pub(crate) fn run(runs: &Runs) -> Result<Ended, Failure> {
    let folder = runs.folder.clone().unwrap_or_else(|| PathBuf::from("runs"));
    if runs.folder.is_some() && !folder.is_dir() {
        return Err(format!(
            "{}: no such folder; `duel runs` alone lists those in runs/",
            folder.display()
        )
        .into());
    }
    let found = below(&folder);
    if runs.json {
        print(serde_json::to_string_pretty(&found)?);
    } else if found.is_empty() {
        eprintln!("{}: no runs yet; {}", folder.display(), how_to_start());
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        print(fill(table(), &found, now.as_secs()));
    }
    Ok(Ended::Done)
}

/// What a person could type next, with an experiment that is here if there is one.
fn how_to_start() -> String {
    let here = Path::new("experiments/dcgan_fashion.yaml");
    match here.exists() {
        true => format!("`duel data prepare {0}` and `duel train {0}` start one", here.display()),
        false => "`duel train EXPERIMENT.yaml` starts one".to_string(),
    }
}

/// On which terminals a column is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    All,
    Wide,
    Narrow,
}

/// A column: its title, what it says of a run, and where it is shown.
type Column = (&'static str, fn(&Run, u64) -> String, On);

const COLUMNS: [Column; 10] = [
    ("run", |run, _| run.run.display().to_string(), On::All),
    ("state", |run, _| state(run), On::Wide),
    ("state", |run, _| short_state(run), On::Narrow),
    ("images", |run, _| images(run), On::All),
    ("D(x)", |run, _| figure(run.d_real), On::All),
    ("D(G(z))", |run, _| figure(run.d_fake), On::All),
    ("V", |run, _| figure(run.value), On::Wide),
    ("diversity", |run, _| figure(run.diversity), On::Wide),
    ("img/s", |run, _| run.images_per_second.map_or(none(), count), On::Wide),
    ("age", |run, now| age(run, now), On::All),
];

/// Fills an empty table, and says below it what needs a sentence.
fn fill(mut table: Table, found: &[Run], now: u64) -> String {
    // Without a width no terminal looks on, and nothing is left out.
    let wide = table.width().is_none_or(|width| width >= WIDE);
    let off = if wide { On::Narrow } else { On::Wide };
    let told = |column: &Column| found.iter().any(|run| column.1(run, now) != none());
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|column| column.2 != off && told(column)).collect();
    table.set_header(columns.iter().map(|column| Cell::new(column.0)));
    for run in found {
        let cell = |column: &&Column| {
            let cell = Cell::new(column.1(run, now));
            if column.0 == "state" { cell.fg(colour(run.state)) } else { cell }
        };
        table.add_row(columns.iter().map(cell));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i + 1 == columns.len() { 0 } else { 2 }));
        if i > 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if i > 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let rows = table.lines().map(|line| line.trim_end().to_string());
    rows.chain(sentences(found)).collect::<Vec<_>>().join("\n")
}

fn sentences(found: &[Run]) -> Vec<String> {
    let mut said = Vec::new();
    for run in found {
        let path = run.run.display();
        // The rest of a longer error is in its file, and in the JSON.
        if let Some(reason) = run.reason.as_ref().and_then(|reason| reason.lines().next()) {
            said.push(match run.state {
                "failed" => format!("{path} failed: {reason}"),
                _ => format!("{path} cannot be read: {reason}"),
            });
        }
        if !run.alarms.is_empty() {
            said.push(format!("{path}: alarms: {}", run.alarms.join(", ")));
        }
    }
    if let Some(run) = found.iter().find(|run| ["interrupted", "failed"].contains(&run.state)) {
        said.push(format!("`duel resume {}` goes on from its last checkpoint", run.run.display()));
    }
    if !said.is_empty() {
        said.insert(0, String::new());
    }
    said
}

fn state(run: &Run) -> String {
    match run.seconds_left {
        Some(left) => format!("running, {} left", span(Duration::from_secs(left))),
        None => run.state.to_string(),
    }
}

/// Who has time left is running.
fn short_state(run: &Run) -> String {
    match run.seconds_left {
        Some(left) => format!("{} left", span(Duration::from_secs(left))),
        None => run.state.to_string(),
    }
}

fn colour(state: &str) -> Color {
    match state {
        "running" => Color::Cyan,
        "finished" => Color::Green,
        "interrupted" => Color::Yellow,
        _ => Color::Red,
    }
}

fn images(run: &Run) -> String {
    let told = |n: Option<u64>| n.map_or(none(), |n| count(n as f64));
    format!("{}/{}", told(run.images), told(run.of))
}

fn figure(x: Option<f64>) -> String {
    x.map_or(none(), |x| format!("{x:.3}"))
}

fn age(run: &Run, now: u64) -> String {
    span(Duration::from_secs(now.saturating_sub(run.updated)))
}

fn none() -> String {
    "–".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::fit;

    const NOW: u64 = 1_800_000_000;

    fn one(name: &str, state: &'static str) -> Run {
        Run {
            run: PathBuf::from("runs").join(name),
            state,
            images: Some(96_000),
            of: Some(360_000),
            d_real: Some(0.76489),
            d_fake: Some(0.23421),
            value: Some(-0.64473),
            images_per_second: Some(537.7),
            updated: NOW - 185,
            ..Run::default()
        }
    }

    fn listing(width: Option<u16>) -> String {
        let running = Run { seconds_left: Some(25_920), ..one("dcgan_fashion/seed0", "running") };
        let reason = Some("the disk is full".to_string());
        let failed = Run { reason, ..one("ablation_of_much/without_batch_norm/seed1", "failed") };
        let mut table = Table::new();
        table.force_no_tty();
        fit(&mut table, width);
        fill(table, &[running, failed], NOW)
    }

    #[test]
    fn a_terminal_of_80_columns_shows_what_counts() {
        let text = listing(Some(80));
        let mut rows = text.lines().take_while(|line| !line.is_empty());
        let wide = rows.find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{text}");
        let row = text.lines().find(|line| line.contains("7h12m left")).expect("a row");
        let expected = "runs/dcgan_fashion/seed0";
        assert!(row.starts_with(expected), "{text}");
        let cells: Vec<&str> = row[expected.len()..].split_whitespace().collect();
        let expected = ["7h12m", "left", "96.0k/360k", "0.765", "0.234", "3m05s"];
        assert_eq!(cells, expected, "{text}");
        assert!(text.contains("failed: the disk is full"), "{text}");
        assert!(text.contains("`duel resume runs/ablation_of_much/"), "{text}");
    }

    #[test]
    fn a_file_gets_everything_and_a_line_for_each() {
        let text = listing(None);
        let row = text.lines().find(|line| line.contains("without_batch_norm")).expect("a row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        let expected = ["failed", "96.0k/360k", "0.765", "0.234", "-0.645", "538", "3m05s"];
        assert_eq!(cells[1..], expected, "{text}");
        assert!(text.contains("running, 7h12m left"), "{text}");
        // Nobody was told of diversity.
        assert!(!text.contains("diversity"), "{text}");
    }
}
