//! A line of the table: what was checked, how it came out, and its figure.

use serde_json::{Value, json};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    Skipped,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The stage that it belongs to.
    pub stage: String,
    /// What was looked at.
    pub check: String,
    pub outcome: Outcome,
    /// What was found.
    pub figure: String,
    /// Why it failed or was skipped.
    pub reason: String,
    /// Everything that was measured for it.
    pub data: Value,
}

impl Row {
    pub fn new(stage: &str, check: impl Into<String>, outcome: Outcome) -> Self {
        let (figure, reason, data) = (String::new(), String::new(), Value::Null);
        Self { stage: stage.to_string(), check: check.into(), outcome, figure, reason, data }
    }

    pub fn pass(stage: &str, check: impl Into<String>) -> Self {
        Self::new(stage, check, Outcome::Pass)
    }

    pub fn fail(stage: &str, check: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::new(stage, check, Outcome::Fail) }
    }

    pub fn skipped(stage: &str, check: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::new(stage, check, Outcome::Skipped) }
    }

    /// Passes where nothing speaks against it.
    pub fn unless(stage: &str, check: impl Into<String>, reason: Option<String>) -> Self {
        match reason {
            Some(reason) => Self::fail(stage, check, reason),
            None => Self::pass(stage, check),
        }
    }

    pub fn figure(self, figure: impl Into<String>) -> Self {
        Self { figure: figure.into(), ..self }
    }

    pub fn data(self, data: Value) -> Self {
        Self { data, ..self }
    }

    /// As a line of JSON, which is how stages tell.
    pub fn json(&self) -> Value {
        let Self { stage, check, outcome, figure, reason, data } = self;
        let result = outcome.name();
        json!({"stage": stage, "check": check, "result": result, "figure": figure, "reason": reason, "data": data})
    }

    /// Reads [`Row::json`]; nothing where it is something else.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_string);
        let all = [Outcome::Pass, Outcome::Fail, Outcome::Skipped];
        let outcome = all.into_iter().find(|o| value["result"] == o.name())?;
        let (stage, check) = (text("stage")?, text("check")?);
        let (figure, reason) = (text("figure")?, text("reason")?);
        Some(Self { stage, check, outcome, figure, reason, data: value["data"].clone() })
    }

    /// Tells whoever started this stage.
    pub fn say(&self) {
        println!("{}", self.json());
    }

    /// Figure and reason in one.
    pub fn told(&self) -> String {
        match (self.figure.is_empty(), self.reason.is_empty()) {
            (false, false) => format!("{}; {}", self.figure, self.reason),
            _ => format!("{}{}", self.figure, self.reason),
        }
    }
}
