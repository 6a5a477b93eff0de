//! `duel doctor`: what this machine offers to Duel, and what it lacks.

use super::{Ended, Failure, print};
use crate::cli::Globals;
use crate::doctor::{Findings, Line};
use crate::listing::table;
use crate::ranks::{self, Rank, Seen};
use comfy_table::{Cell, Color, ColumnConstraint, Width};

pub(crate) fn run(globals: &Globals, json: bool, ranks: usize) -> Result<Ended, Failure> {
    ranks::start(ranks, |rank| as_rank(globals, json, rank))
}

fn as_rank(globals: &Globals, json: bool, rank: &Rank) -> Result<Ended, Failure> {
    if !rank.is_first() {
        Seen::gather(globals, rank)?;
        return Ok(Ended::Done);
    }
    let findings = Findings::gather(globals, rank)?;
    let lines = findings.lines();
    if json {
        let mut value = serde_json::to_value(&findings)?;
        let advice: Vec<_> = lines.iter().filter_map(|line| line.advice.as_ref()).collect();
        value["advice"] = serde_json::to_value(advice)?;
        print(serde_json::to_string_pretty(&value)?);
    } else {
        print(told(&lines));
    }
    Ok(Ended::Done)
}

/// Two columns; advice stands below what it is about.
fn told(lines: &[Line]) -> String {
    let mut table = table();
    let mut before = "";
    for line in lines {
        // Several lines about one thing name it once.
        let about = if line.about == before { "" } else { line.about };
        before = line.about;
        table.add_row([Cell::new(about), Cell::new(&line.found)]);
        if let Some(advice) = &line.advice {
            table.add_row([Cell::new(""), Cell::new(format!("→ {advice}")).fg(Color::Yellow)]);
        }
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i == 0 { 2 } else { 0 }));
        if i == 0 {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(15)));
        }
    }
    table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}
