//! Scaling for people: tables as text, or as Markdown for a page.

use super::rows::{Grows, Measured, Predicted, Scaling};
use crate::profile::lined;
use std::fmt::Write;

/// What the figures mean.
const NOTE: &str = "\
efficiency: images a second for each core at work, over that of one rank. waiting: the part of a step in which the rank
has nothing to do but wait for sums. hidden: the part of the gradients' bytes that is added up when the backward pass
of their network has ended; buckets count whole. gradients, norms: how many sums a step has, their bytes, and
the time waited for them. model: what it says of the step, how far that is off, and what it says is hidden.";

/// Numbers of ranks of which predictions are printed; the file of rows has all.
const PRINTED: [usize; 7] = [1, 2, 4, 8, 64, 256, 1024];

impl Scaling {
    /// The tables.
    pub fn print(&self, markdown: bool) -> String {
        let table = |head: [&str; 11], rows: Vec<[String; 11]>| table(head, rows, markdown);
        let mut text = table(
            [
                "scaling",
                "ranks",
                "batch",
                "ms",
                "images/s",
                "efficiency",
                "waiting",
                "hidden",
                "gradients",
                "norms",
                "model",
            ],
            self.measured.iter().map(measured).collect(),
        );
        text += "\n\n";
        text += NOTE;
        if self.measured.iter().any(Measured::is_crowded) {
            text += "\n*: more threads than cores; the model lets ranks take turns.";
        }
        for (engine, ranks, probed) in &self.engines {
            let (latency, gigabytes) = (probed.latency_us, probed.gigabytes);
            let said = write!(
                text,
                "\n{engine}, {ranks} ranks, idle: {latency:.1} µs a round, a rank sends {gigabytes:.3} GB/s;"
            );
            said.expect("strings take everything");
            for (bytes, seconds) in &probed.sums {
                let said = write!(text, " {}B {} ms,", tape::amount(*bytes), figure(1e3 * seconds));
                said.expect("strings take everything");
            }
            text.pop();
        }
        text += "\n\n";
        text += &self.assumed();
        text += "\n\n";
        let head =
            ["link", "scaling", "figure", "1", "2", "4", "8", "64", "256", "1024", "hidden at 8"];
        text + &table(head, self.predictions())
    }

    /// What predictions start from.
    fn assumed(&self) -> String {
        let [batch, _] = self.batch;
        let [(large, whole), (small, half)] = &self.work;
        let [large_ms, small_ms] = [whole, half].map(|work| 1e3 * work.work());
        let mut text = format!(
            "predicted, for {batch} samples of one rank: each operation takes what it takes here ({large_ms:.1} ms for \
             {large} rows, {small_ms:.1} ms for {small}"
        );
        match self.step {
            None => text += "), one rank a machine like this",
            Some(step) => {
                let factor = whole.work() / step;
                let said = write!(
                    text,
                    "), divided by {factor:.4} so that all of them take the {:.3} ms that were given with --step-ms",
                    1e3 * step
                );
                said.expect("strings take everything");
            }
        }
        text + "; – where the batch cannot be shared or the link does not reach"
    }

    /// For each link and way of growing two lines: images a second, and efficiency.
    fn predictions(&self) -> Vec<[String; 11]> {
        let all = self.predicted();
        let mut rows = Vec::new();
        for link in &self.links {
            for scaling in Grows::ALL {
                let at = |ranks: usize| {
                    let is = |row: &&Predicted| {
                        row.link == link.name && row.scaling == scaling && row.ranks == ranks
                    };
                    all.iter().find(is)
                };
                let row = |figure: &str, last: String, of: &dyn Fn(&Predicted) -> String| {
                    let cells = PRINTED.map(|ranks| at(ranks).map_or("–".to_string(), of));
                    let [a, b, c, d, e, f, g] = cells;
                    let words = [link.name.clone(), scaling.name().to_string(), figure.to_string()];
                    let [link, scaling, figure] = words;
                    [link, scaling, figure, a, b, c, d, e, f, g, last]
                };
                let hidden = at(8).map_or("–".to_string(), |row| percent(row.outcome.hidden));
                rows.push(row("images/s", hidden, &|row| figure(row.images_per_second)));
                rows.push(row("efficiency", String::new(), &|row| percent(row.efficiency)));
            }
        }
        rows
    }
}

fn measured(row: &Measured) -> [String; 11] {
    let Measured { scaling, ranks, threads, batch, seconds, overlap, .. } = row;
    let crowded = if row.is_crowded() { " *" } else { "" };
    let plural = if *threads == 1 { "" } else { "s" };
    let alone = *ranks == 1;
    let of = |waited: super::Waited| {
        if alone {
            return "–".to_string();
        }
        let bytes = tape::amount(waited.bytes);
        format!("{} × {}B, {} ms", waited.messages, bytes, figure(1e3 * waited.seconds))
    };
    let share = |of: f64| if alone { "–".to_string() } else { percent(of) };
    [
        scaling.name().to_string(),
        format!("{ranks} × {threads} thread{plural}{crowded}"),
        batch.to_string(),
        figure(1e3 * seconds),
        figure(row.images_per_second),
        percent(row.efficiency),
        share(overlap.seconds() / seconds),
        share(overlap.hidden()),
        of(overlap.gradients),
        of(overlap.norms),
        model(row, alone),
    ]
}

/// What the model says, and how far it is off.
fn model(row: &Measured, alone: bool) -> String {
    let ms = figure(1e3 * row.predicted_seconds);
    let step = format!("{ms} ms ({:+.0} %)", 100.0 * row.error());
    if alone { step } else { format!("{step}, {} hidden", percent(row.predicted_hidden)) }
}

/// Columns that are words stand to the left.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>, markdown: bool) -> String {
    if !markdown {
        return lined(head, rows.into_iter(), 3);
    }
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let head = line(&head.map(str::to_string));
    let rule = format!("|{}", "---|".repeat(N));
    let rows = rows.iter().map(|row| line(row));
    [head, rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// Three digits, or all of a whole number.
fn figure(x: f64) -> String {
    match x.abs() {
        x if x >= 99.95 => format!("{x:.0}"),
        x if x >= 9.995 => format!("{x:.1}"),
        x if x >= 0.9995 => format!("{x:.2}"),
        x => format!("{x:.3}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
