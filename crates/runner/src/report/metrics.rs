//! A run's log by columns. Lines may lack any figure, as older ones do, and the last may be cut.

use crate::command::Failure;
use crate::journal;
use serde_json::Value;
use std::path::Path;

/// The reports of a run.
#[derive(Default)]
pub(super) struct Metrics {
    lines: Vec<Value>,
}

/// An alarm that rang at reports one after another.
#[derive(Debug, PartialEq)]
pub(super) struct Alarm {
    pub name: String,
    /// Images shown at its first report and at its last.
    pub from: u64,
    pub to: u64,
    /// At how many.
    pub reports: usize,
}

impl Metrics {
    /// Reads `metrics.jsonl`; a run that has none yet has no reports.
    pub fn read(run: &Path) -> Result<Self, Failure> {
        Ok(Self { lines: journal::read(run)? })
    }

    /// (images, figure) where there is one.
    pub fn column(&self, key: &str) -> Vec<(f64, f64)> {
        let point = |line: &Value| Some((line["images"].as_f64()?, line[key].as_f64()?));
        self.lines.iter().filter_map(point).collect()
    }

    /// The last figure of a column.
    pub fn last(&self, key: &str) -> Option<f64> {
        self.lines.iter().rev().find_map(|line| line[key].as_f64())
    }

    /// Seconds of training, summed over reports.
    pub fn seconds(&self) -> f64 {
        let mut before = 0.0;
        let mut seconds = 0.0;
        for (images, pace) in self.column("images_per_second") {
            if pace > 0.0 {
                seconds += (images - before) / pace;
            }
            before = images;
        }
        seconds
    }

    /// Alarms in the order in which they began.
    pub fn alarms(&self) -> Vec<Alarm> {
        let mut all: Vec<Alarm> = Vec::new();
        let mut before = None;
        for line in &self.lines {
            let images = line["images"].as_u64().unwrap_or(0);
            let names = line["alarms"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for name in names {
                let rang = |a: &&mut Alarm| a.name == name && Some(a.to) == before;
                match all.iter_mut().rev().find(rang) {
                    Some(alarm) => {
                        alarm.to = images;
                        alarm.reports += 1;
                    }
                    None => {
                        let name = name.to_string();
                        all.push(Alarm { name, from: images, to: images, reports: 1 });
                    }
                }
            }
            before = Some(images);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lines_may_lack_figures_and_the_last_its_end() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Metrics::read(dir.path()).unwrap().column("value").is_empty());
        let log = r#"{"images":10,"value":-1.0,"images_per_second":5.0}
{"images":20,"alarms":["d_wins"],"images_per_second":2.0}
{"images":30,"value":-2.0,"alarms":["d_wins","loss_stuck"]}
{"images":40,"value":null}
{"images":50,"alarms":["d_wins"]}
{"images":60,"val"#;
        fs::write(dir.path().join("metrics.jsonl"), log).unwrap();
        let metrics = Metrics::read(dir.path()).unwrap();
        assert_eq!(metrics.column("value"), [(10.0, -1.0), (30.0, -2.0)]);
        assert_eq!((metrics.last("value"), metrics.last("diversity")), (Some(-2.0), None));
        assert_eq!(metrics.seconds(), 10.0 / 5.0 + 10.0 / 2.0);
        let alarm = |name: &str, from, to, reports| Alarm { name: name.into(), from, to, reports };
        let rang = [
            alarm("d_wins", 20, 30, 2),
            alarm("loss_stuck", 30, 30, 1),
            alarm("d_wins", 50, 50, 1),
        ];
        assert_eq!(metrics.alarms(), rang);

        fs::write(dir.path().join("metrics.jsonl"), "{\"images\":10}\nnonsense\n").unwrap();
        let error = Metrics::read(dir.path()).err().unwrap().to_string();
        assert!(error.contains("metrics.jsonl:2: "), "{error}");
    }
}
