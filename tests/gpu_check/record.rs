//! Everything that was found, on the screen as it comes and in files after each stage.

use crate::arguments::Arguments;
use crate::row::{Outcome, Row};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// Widths of the columns of stage and check.
const COLUMNS: [usize; 2] = [12, 44];

/// The rows so far.
pub struct Record {
    out: PathBuf,
    command: String,
    began: String,
    machine: Value,
    rows: Vec<Row>,
}

impl Record {
    /// Nothing yet; the folder is made.
    pub fn new(arguments: &Arguments, began: String) -> Result<Self, String> {
        let out = arguments.out.clone();
        fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
        let words: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("./gpu-check {}", words.join(" ")).trim_end().to_string();
        Ok(Self { out, command, began, machine: Value::Null, rows: Vec::new() })
    }

    /// Takes a row, prints it as a line of the table, and keeps what it says of the machine.
    pub fn add(&mut self, row: Row) {
        if self.rows.is_empty() {
            println!("{}", line("stage", "check", "result", "figure"));
        }
        if row.stage == "machine" && self.machine.is_null() {
            self.machine = row.data.clone();
        }
        println!("{}", line(&row.stage, &row.check, row.outcome.name(), &row.told()));
        self.rows.push(row);
    }

    /// The libnccl that PyTorch brings.
    pub fn nccl(&self) -> Option<&str> {
        self.machine["nccl_library"].as_str()
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// Writes both files anew.
    pub fn write(&self) -> Result<(), String> {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let Self { command, began, machine, .. } = self;
        let all = json!({"command": command, "began": began, "machine": machine, "rows": rows});
        let text = serde_json::to_string_pretty(&all).expect("rows are JSON") + "\n";
        for (name, text) in [("gpu-check.json", text), ("gpu-check.md", self.markdown())] {
            let path = self.out.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// A section for BENCHMARKS.md.
    fn markdown(&self) -> String {
        let told = |key: &str| match &self.machine[key] {
            Value::Null => "none".to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut text = format!("## NVIDIA GPUs\n\n    {}      # {}\n\n", self.command, self.began);
        let _ = writeln!(
            text,
            "{}, driver {} (CUDA {}), PyTorch {} with CUDA {}, cuDNN {}, NCCL {}.\n",
            told("card"),
            told("driver"),
            told("driver_cuda"),
            told("torch"),
            told("cuda"),
            told("cudnn"),
            told("nccl"),
        );
        text += "| | check | result | figure |\n|---|---|---|---|\n";
        let mut stage = "";
        for row in &self.rows {
            let first = if row.stage == stage { "" } else { &row.stage };
            stage = &row.stage;
            let told = row.told().replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(text, "| {first} | {} | {} | {told} |", row.check, row.outcome.name());
        }
        text
    }
}

/// A line of the table.
fn line(stage: &str, check: &str, result: &str, figure: &str) -> String {
    let [a, b] = COLUMNS;
    format!("{stage:a$} {check:b$} {result:8} {figure}").trim_end().to_string()
}
