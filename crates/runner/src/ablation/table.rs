//! The table of an ablation: variants and figures, over seeds.

use super::asked::Ablation;
use super::figures::figure;
use crate::aside;
use crate::command::Failure;
use crate::journal;
use crate::run_dir::at;
use crate::state::{State, state};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What was asked for: `ablation.json`, by which the folder tells its table without the YAML.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    name: String,
    reference: String,
    variants: Vec<String>,
    seeds: Vec<u64>,
    compare: Vec<String>,
}

/// The file that holds it.
pub(crate) const RECORD: &str = "ablation.json";

/// A table, as far as the runs have come.
pub(crate) struct Table {
    /// The ablation's name.
    pub name: String,
    /// The variant that the others are compared with.
    pub reference: String,
    /// Figures of `metrics.jsonl`, one for each cell of a row.
    pub columns: Vec<String>,
    /// A row for each variant, in the order of the file.
    pub rows: Vec<Row>,
}

/// A variant.
pub(crate) struct Row {
    /// Its name.
    pub variant: String,
    /// One for each column.
    pub cells: Vec<Cell>,
    /// The directories of its runs, finished or not, one for each seed.
    pub runs: Vec<PathBuf>,
    /// `seed 1: reason`, for each run that ended with an error.
    pub failures: Vec<String>,
}

/// A figure of a variant, over the seeds whose runs are finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// Runs that count.
    pub n: usize,
    /// Their mean.
    pub mean: Option<f64>,
    /// Its standard error over seeds; of two runs or more.
    pub error: Option<f64>,
    /// Mean and standard error of the differences to the reference's run with the same seed. Of
    /// one pair alone the error is not a number.
    pub difference: Option<[f64; 2]>,
}

impl Record {
    /// What an ablation asks for.
    pub fn new(ablation: &Ablation) -> Self {
        Self {
            name: ablation.name.clone(),
            reference: ablation.reference.clone(),
            variants: ablation.variants.iter().map(|variant| variant.name.clone()).collect(),
            seeds: ablation.seeds.clone(),
            compare: ablation.compare.clone(),
        }
    }

    /// Writes it into the ablation's folder.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(aside::write(&folder.join(RECORD), text.as_bytes())?)
    }
}

/// Where a run lies in the folder of its ablation.
pub(crate) fn run_path(folder: &Path, variant: &str, seed: u64) -> PathBuf {
    folder.join(variant).join(format!("seed{seed}"))
}

/// The table of the runs in a folder.
///
/// # Errors
/// When the folder is no ablation's.
pub(crate) fn read(folder: &Path) -> Result<Table, Failure> {
    let path = folder.join(RECORD);
    let text = fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
    let Record { name, reference, variants, seeds, compare: columns } = serde_json::from_str(&text)
        .map_err(|error| format!("{}: {error}; `duel ablate` writes it anew", path.display()))?;
    let of = |variant: &str| -> Result<Vec<Run>, Failure> {
        seeds.iter().map(|&seed| Run::read(folder, variant, seed)).collect()
    };
    let compared = of(&reference)?;
    let rows = variants.into_iter().map(|variant| {
        let runs = of(&variant)?;
        let cell = |key: &String| {
            let values: Vec<_> = runs.iter().map(|run| run.figure(key)).collect();
            let against: Vec<_> = compared.iter().map(|run| run.figure(key)).collect();
            Cell::new(&values, (variant != reference).then_some(&against))
        };
        let cells = columns.iter().map(cell).collect();
        let failures = runs.iter().filter_map(|run| run.failure.clone()).collect();
        let runs = runs.into_iter().map(|run| run.path).collect();
        Ok(Row { variant, cells, runs, failures })
    });
    let rows = rows.collect::<Result<_, Failure>>()?;
    Ok(Table { name, reference, columns, rows })
}

/// What the table takes from a run.
struct Run {
    path: PathBuf,
    /// None before the run is finished: what it says then is of another length.
    lines: Vec<Value>,
    failure: Option<String>,
}

impl Run {
    fn read(folder: &Path, variant: &str, seed: u64) -> Result<Self, Failure> {
        let path = run_path(folder, variant, seed);
        // A run that was cut short before it began is none.
        let begun = path.join("resolved.yaml").exists();
        let state = if begun { state(&path)? } else { State::Fresh };
        let (lines, failure) = match state {
            State::Finished => (journal::read(&path)?, None),
            State::Failed { reason } => (Vec::new(), Some(format!("seed {seed}: {reason}"))),
            _ => (Vec::new(), None),
        };
        Ok(Self { path, lines, failure })
    }

    fn figure(&self, key: &str) -> Option<f64> {
        figure(&self.lines, key)
    }
}

impl Cell {
    /// The figure of each seed, and the reference's in the same order.
    fn new(values: &[Option<f64>], reference: Option<&Vec<Option<f64>>>) -> Self {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        let pairs = values.iter().zip(reference.into_iter().flatten());
        let differences: Vec<f64> =
            pairs.filter_map(|(&one, &other)| Some(one? - other?)).collect();
        let error = |all: &[f64]| (all.len() > 1).then(|| standard_error(all));
        Self {
            n: known.len(),
            mean: mean(&known),
            error: error(&known),
            difference: mean(&differences)
                .map(|mean| [mean, error(&differences).unwrap_or(f64::NAN)]),
        }
    }
}

fn mean(all: &[f64]) -> Option<f64> {
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// Of the mean: the sample's standard deviation (n − 1) by √n.
fn standard_error(all: &[f64]) -> f64 {
    let n = all.len() as f64;
    let mean = all.iter().sum::<f64>() / n;
    let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 1, 2, 6 have mean 3 and variance (4 + 1 + 9) / 2 = 7; against 0, 4, 2 they differ by
    /// 1, −2, 4, of mean 1 and variance (0 + 9 + 9) / 2 = 9.
    #[test]
    fn over_seeds_and_paired_by_seed() {
        let cell = Cell::new(
            &[Some(1.0), Some(2.0), Some(6.0)],
            Some(&vec![Some(0.0), Some(4.0), Some(2.0)]),
        );
        assert_eq!((cell.n, cell.mean), (3, Some(3.0)));
        // Rounding of one division and one root.
        assert!((cell.error.unwrap() - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let [mean, error] = cell.difference.unwrap();
        assert_eq!(mean, 1.0);
        assert!((error - 3.0f64.sqrt()).abs() < 1e-15);
    }

    /// Seed 1 is missing here, seed 2 there: one pair is left.
    #[test]
    fn pairs_need_both() {
        let cell =
            Cell::new(&[Some(1.0), None, Some(2.0)], Some(&vec![Some(0.5), Some(4.0), None]));
        assert_eq!((cell.n, cell.mean, cell.error), (2, Some(1.5), Some(0.5)));
        let [mean, error] = cell.difference.unwrap();
        assert!(mean == 0.5 && error.is_nan());
    }

    #[test]
    fn nothing_is_no_number() {
        let none = Cell { n: 0, mean: None, error: None, difference: None };
        assert_eq!(Cell::new(&[None, None], Some(&vec![Some(1.0), None])), none);
        assert_eq!(Cell::new(&[], None), none);
        let one = Cell { n: 1, mean: Some(2.0), error: None, difference: None };
        assert_eq!(Cell::new(&[Some(2.0)], None), one);
    }
}
