//! A profile for people.

use super::{Layer, Profile, Work};
use crate::listing::table;
use comfy_table::{Cell, CellAlignment, Table};
use std::fmt;
use tape::amount;

/// From so many terms on a sum is long enough that nothing but the product should count.
const DEEP: u64 = 256;

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "by operation\n{}\n", self.operation_table())?;
        if !self.layers.is_empty() {
            writeln!(f, "by layer and pass\n{}\n", self.layer_table())?;
            writeln!(f, "{NOTE}\n")?;
        }
        write!(f, "{}", self.summary())
    }
}

/// What the figures of layers mean.
const NOTE: &str = "\
K: terms of each sum. FLOP of a convolution: 2 for each multiply-add of its definition, taps on padding included,
so a fast algorithm may exceed the peak. roofline: min(peak, FLOP/byte × bandwidth of memory), each operand moved
once; what stays in a cache may exceed it.";

impl Profile {
    fn operation_table(&self) -> String {
        let head = ["operation", "runs", "ms", "share", "GFLOP/s", "GB/s"];
        let rows = self.operations.iter().map(|operation| {
            let name = operation.operation.to_string();
            let [runs, ms, share, gflops, gigabytes] = self.cells(&operation.work);
            [name, runs, ms, share, gflops, gigabytes]
        });
        let [runs, ms, share, gflops, gigabytes] = self.cells(&self.total);
        let total = ["all".to_string(), runs, ms, share, gflops, gigabytes];
        lined(head, rows.chain([total]), 1)
    }

    fn layer_table(&self) -> String {
        let head = [
            "weight",
            "pass",
            "K",
            "runs",
            "ms",
            "share",
            "GFLOP/s",
            "GB/s",
            "FLOP/byte",
            "roofline",
            "reached",
        ];
        let rows = self.layers.iter().map(|layer| {
            let Layer { weight, pass, depth, work, .. } = layer;
            let [runs, ms, share, gflops, gigabytes] = self.cells(work);
            let intensity = format!("{:.1}", work.intensity());
            let roofline = format!("{:.1}", self.roofline(layer));
            let reached = percent(self.reached(layer));
            let (weight, pass) = (weight.clone(), pass.name().to_string());
            [
                weight,
                pass,
                depth.to_string(),
                runs,
                ms,
                share,
                gflops,
                gigabytes,
                intensity,
                roofline,
                reached,
            ]
        });
        lined(head, rows, 2)
    }

    /// Runs, milliseconds, share of the iteration, GFLOP/s, GB/s.
    fn cells(&self, work: &Work) -> [String; 5] {
        [
            work.runs.to_string(),
            milliseconds(work.seconds),
            percent(self.share(work)),
            format!("{:.1}", work.gflops()),
            format!("{:.1}", work.gigabytes()),
        ]
    }

    fn summary(&self) -> String {
        let Self { ceiling, total, .. } = self;
        let programs: Vec<String> =
            self.programs.iter().map(|(name, calls)| format!("{calls} × {name}")).collect();
        let mut text = format!(
            "peak {:.1} GFLOP/s, bandwidth {:.1} GB/s\n\
             an iteration ({}): {} ms, {}FLOP, {:.1} GFLOP/s, {} of the peak",
            ceiling.gflops,
            ceiling.gigabytes,
            programs.join(", "),
            milliseconds(total.seconds),
            amount(total.flop),
            total.gflops(),
            percent(total.gflops() / ceiling.gflops),
        );
        for (family, work) in &self.families {
            text += &format!("\n  {:>6}  {family}", percent(self.share(work)));
        }
        let deep = self.convolutions(DEEP);
        if deep.runs > 0 {
            let (gflops, reached) = (deep.gflops(), percent(deep.gflops() / ceiling.gflops));
            text += &format!(
                "\nconvolutions with K ≥ {DEEP}: {gflops:.1} GFLOP/s, {reached} of the peak"
            );
        }
        let least = self.layers.iter().min_by(|a, b| self.reached(a).total_cmp(&self.reached(b)));
        if let Some(layer) = least {
            let reached = percent(self.reached(layer));
            text += &format!(
                "\nfarthest below its roofline: {} {}, {reached}",
                layer.weight,
                layer.pass.name()
            );
        }
        text
    }
}

/// A table whose first columns are words and whose others are numbers.
pub(crate) fn lined<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    words: usize,
) -> String {
    let mut table: Table = table();
    table.add_row(head);
    rows.for_each(|row| _ = table.add_row(row.map(Cell::new)));
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if i >= words {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
    lines.join("\n")
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3}", 1e3 * seconds)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
