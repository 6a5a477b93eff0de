//! The table as text: for a terminal, and as Markdown.

use super::table::{Cell, Table};
use crate::listing;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ColumnConstraint, Table as Drawn};

impl Table {
    /// As wide as the terminal: two lines for each variant, or more where they do not fit.
    pub fn terminal(&self) -> String {
        let drawn = self.fill(listing::table(), "\n").trim_fmt();
        format!("{drawn}\n\n{}", self.caption())
    }

    /// The table with its caption, and what became of the runs that failed.
    pub fn markdown(&self) -> String {
        let mut drawn = Drawn::new();
        drawn.load_style(ASCII_MARKDOWN).force_no_tty();
        let drawn = self.fill(drawn, "<br>");
        let mut text = format!("# {}\n\n{drawn}\n\n{}\n", self.name, self.caption());
        let failures = self.failures();
        if !failures.is_empty() {
            text += "\n## Failures\n\n";
            for failure in failures {
                text += &format!("- {}\n", failure.replace('\n', "\n  "));
            }
        }
        text
    }

    /// `variant, seed 1: reason`
    pub fn failures(&self) -> Vec<String> {
        let told = |row: &super::table::Row| {
            let tell = |failure: &String| format!("{}, {failure}", row.variant);
            row.failures.iter().map(tell).collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(told).collect()
    }

    fn fill(&self, mut drawn: Drawn, below: &str) -> Drawn {
        let columns = self.columns.iter().map(String::as_str);
        drawn.set_header(["variant", "n"].into_iter().chain(columns));
        for row in &self.rows {
            let n = row.runs.len();
            let most = row.cells.iter().map(|cell| cell.n).max().unwrap_or(0);
            let mut cells = vec![row.variant.clone(), format!("{most} of {n}")];
            cells.extend(row.cells.iter().map(|cell| told(cell, most, below)));
            drawn.add_row(cells);
        }
        for column in drawn.column_iter_mut().take(2) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        for column in drawn.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        drawn
    }

    fn caption(&self) -> String {
        format!(
            "Mean ± standard error over seeds; Δ is the difference to `{}`, paired by seed.\n\
             n: runs that are finished. A run's figure is the mean over the last tenth of the lines\n\
             of its metrics.jsonl; of images_per_second, the median over all of them.",
            self.reference
        )
    }
}

/// Mean, and below it the difference; n where it is not the row's.
fn told(cell: &Cell, most: usize, below: &str) -> String {
    let Some(mean) = cell.mean else { return "–".to_owned() };
    let mut text = measured(mean, cell.error);
    if cell.n < most {
        text += &format!(" (n = {})", cell.n);
    }
    if let Some([mean, error]) = cell.difference {
        let sign = if mean < 0.0 { "" } else { "+" };
        text += &format!("{below}Δ {sign}{}", measured(mean, Some(error)));
    }
    text
}

/// A number to two digits of its error, or to four of its own where none is known.
pub(crate) fn measured(mean: f64, error: Option<f64>) -> String {
    let magnitude = |x: f64| x.abs().log10().floor() as i64;
    match error.filter(|error| error.is_finite()) {
        Some(error) if error > 0.0 => {
            let digits = (1 - magnitude(error)).clamp(0, 9) as usize;
            format!("{mean:.digits$} ± {error:.digits$}")
        }
        known => {
            let digits = if mean == 0.0 { 0 } else { (3 - magnitude(mean)).clamp(0, 9) as usize };
            format!("{mean:.digits$}{}", known.map_or("", |_| " ± 0"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Row;
    use super::*;

    #[test]
    fn two_digits_of_the_error() {
        assert_eq!(measured(-1.38629, Some(0.01234)), "-1.386 ± 0.012");
        assert_eq!(measured(541.7, Some(12.3)), "542 ± 12");
        assert_eq!(measured(541.7, None), "541.7");
        assert_eq!(measured(0.000_123_4, Some(f64::NAN)), "0.0001234");
        assert_eq!(measured(0.0, None), "0");
        assert_eq!(measured(0.5, Some(0.0)), "0.5000 ± 0");
    }

    fn table() -> Table {
        let cell = |n, mean, error, difference| Cell { n, mean, error, difference };
        let row = |variant: &str, cells: Vec<Cell>, failures: &[&str]| Row {
            variant: variant.to_owned(),
            cells,
            runs: vec!["a".into(), "b".into()],
            failures: failures.iter().map(|f| (*f).to_owned()).collect(),
        };
        let none = cell(0, None, None, None);
        Table {
            name: "small".to_owned(),
            reference: "reference".to_owned(),
            columns: vec!["value".to_owned(), "diversity".to_owned()],
            rows: vec![
                row("reference", vec![cell(2, Some(-1.5), Some(0.25), None), none], &[]),
                row(
                    "fast",
                    vec![cell(1, Some(-1.25), None, Some([0.5, f64::NAN])), none],
                    &["seed 1: step 2: not finite\n  try less"],
                ),
            ],
        }
    }

    #[test]
    fn markdown_holds_everything() {
        let text = table().markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "# small",
                "",
                "| variant   |      n |               value | diversity |",
                "|-----------|--------|---------------------|-----------|",
                "| reference | 2 of 2 |        -1.50 ± 0.25 |         – |",
                "| fast      | 1 of 2 | -1.250<br>Δ +0.5000 |         – |",
            ]
        );
        assert!(text.ends_with("\n- fast, seed 1: step 2: not finite\n    try less\n"), "{text}");
    }

    #[test]
    fn the_terminal_has_lines_below() {
        let text = table().terminal();
        assert!(text.contains("-1.250"), "{text}");
        let below = text.lines().find(|line| line.contains('Δ')).expect("a difference");
        assert_eq!(below.trim(), "Δ +0.5000");
    }
}
