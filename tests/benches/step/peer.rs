//! `tests/peer/peer.py`, asked over a pipe.

use super::rounds::Engine;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(super) struct Peer {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    title: String,
}

impl Peer {
    /// Starts it and waits until it has warmed up.
    pub fn start(venv: &str, config: &str, variant: &str, threads: usize) -> Result<Self, String> {
        // Cargo runs benchmarks in the folder of their package; the environment is named from the top.
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let top = tests.parent().expect("tests/ has a parent");
        let python = top.join(venv).join("bin/python");
        let log = top.join("target").join(format!("peer-{config}-{variant}.log"));
        let written = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut child = Command::new(&python)
            .arg(tests.join("peer/peer.py"))
            .args(["--config", config, "--variant", variant, "--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(written)
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let ask = child.stdin.take().expect("piped");
        let mut answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            child.wait().ok();
            return Err(last_words(&log));
        };
        let version = ready["torch"].as_str().unwrap_or("of unknown version");
        Ok(Self { child, ask, answers, title: format!("{variant}, {version}") })
    }
}

/// What it said last, and where the rest is.
fn last_words(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let last =
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it ended without a word");
    format!("{} ({})", last.trim(), log.display())
}

impl Engine for Peer {
    fn title(&self) -> [String; 2] {
        ["PyTorch".to_string(), self.title.clone()]
    }

    fn steps(&mut self, n: usize) -> f64 {
        writeln!(self.ask, "{n}").and_then(|()| self.ask.flush()).expect("PyTorch listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("PyTorch answers");
        let told: Value = serde_json::from_str(&line).expect("PyTorch answers in JSON");
        told["seconds"].as_f64().expect("PyTorch tells its seconds")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        writeln!(self.ask, "quit").ok();
        self.child.wait().ok();
    }
}
