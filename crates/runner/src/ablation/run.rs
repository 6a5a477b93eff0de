//! One run of an ablation: where it lies, and whether what lies there is it.

use super::asked::{Ablation, Variant};
use super::figures::figure;
use super::table::run_path;
use crate::command::Failure;
use crate::journal;
use crate::resolve;
use crate::run_dir::at;
use crate::runs::last_line;
use crate::state::{State, shown, state};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use train::{Experiment, Precision};

/// A variant with a seed.
pub(crate) struct Run<'a> {
    pub variant: &'a Variant,
    pub seed: u64,
    pub spec: Experiment,
    pub path: PathBuf,
}

/// The runs in their order: all variants with the first seed, then with the next, so that the table
/// compares everything from the first round on.
pub(crate) fn runs<'a>(
    ablation: &'a Ablation,
    folder: &Path,
    wanted: impl Fn(&Variant) -> bool,
) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    for &seed in &ablation.seeds {
        for variant in ablation.variants.iter().filter(|variant| wanted(variant)) {
            let path = run_path(folder, &variant.name, seed);
            runs.push(Run { variant, seed, spec: variant.experiment(seed), path });
        }
    }
    runs
}

impl Run<'_> {
    /// As it is told of.
    pub fn name(&self) -> String {
        format!("{} seed {}", self.variant.name, self.seed)
    }

    /// What became of it. A directory in which a run was cut short before it had said what it is
    /// counts as none.
    pub fn state(&self) -> Result<State, Failure> {
        if self.path.join("resolved.yaml").exists() {
            return state(&self.path);
        }
        match state(&self.path) {
            Ok(State::Running) => Ok(State::Running),
            _ => Ok(State::Fresh),
        }
    }

    /// Refuses a directory that holds something else than this run.
    pub fn check(&self, asked: &Path) -> Result<(), Failure> {
        let here = self.path.display();
        let resolved = self.path.join("resolved.yaml");
        if !resolved.exists() {
            let empty = !self.path.exists() || is_stillborn(&self.path)?;
            return if empty {
                Ok(())
            } else {
                Err(format!(
                    "{here}: found files but no `resolved.yaml`, expected a run or nothing; move them away"
                )
                .into())
            };
        }
        let mut there: Experiment = resolve::parse(&resolved)?;
        // It may go on elsewhere, but not in another precision.
        (there.device, there.capture) = (self.spec.device, self.spec.capture);
        if there.precision == Precision::Auto {
            there.precision = Precision::F32;
        }
        let [there, here_now] = [&there, &self.spec].map(serde_json::to_value);
        let Some([key, was, is]) = difference("", &there?, &here_now?) else { return Ok(()) };
        Err(format!(
            "{here}: a run of another configuration is here: `{key}` was {was}, and {} asks for {is} now; \
             `--out DIR` puts this ablation elsewhere, `rm -r {here}` lets this run begin anew",
            asked.display()
        )
        .into())
    }

    /// Clears away what a run left that was cut short before it had said what it is.
    pub fn clear_stillborn(&self) -> Result<(), Failure> {
        if self.path.exists() && !self.path.join("resolved.yaml").exists() {
            fs::remove_dir_all(&self.path).map_err(|error| at(&self.path, &error))?;
        }
        Ok(())
    }

    /// Images that its newest checkpoint has shown: where it goes on.
    pub fn kept(&self) -> u64 {
        shown(&self.path).unwrap_or(0)
    }

    /// Images that the last line of its log tells of.
    pub fn shown(&self) -> u64 {
        let line = last_line(&self.path.join("metrics.jsonl"));
        line.ok().and_then(|line| line.get("images")?.as_u64()).unwrap_or(0)
    }

    /// Its speed, if it is finished.
    pub fn images_per_second(&self) -> Option<f64> {
        let finished = matches!(self.state(), Ok(State::Finished));
        figure(&finished.then(|| journal::read(&self.path).ok())??, "images_per_second")
    }
}

/// Whether a directory holds only what stands there before `resolved.yaml` does.
fn is_stillborn(path: &Path) -> Result<bool, Failure> {
    for entry in fs::read_dir(path).map_err(|error| at(path, &error))? {
        let entry = entry.map_err(|error| at(path, &error))?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let empty = || fs::read_dir(&entry).is_ok_and(|mut inside| inside.next().is_none());
        if !(name.starts_with('.') || name == "program.txt" || (entry.is_dir() && empty())) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first key, in the order of the alphabet, whose values differ: key, the one's, the other's.
fn difference(key: &str, one: &Value, other: &Value) -> Option<[String; 3]> {
    if let (Value::Object(a), Value::Object(b)) = (one, other) {
        let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
        names.sort_unstable();
        let below = |name: &&String| {
            let key = if key.is_empty() { (*name).clone() } else { format!("{key}.{name}") };
            let of = |map: &serde_json::Map<String, Value>| map.get(*name).cloned();
            match (of(a), of(b)) {
                (Some(a), Some(b)) => difference(&key, &a, &b),
                (a, b) => {
                    let told = |value: Option<Value>| {
                        value.map_or("not there".to_owned(), |value| value.to_string())
                    };
                    Some([key, told(a), told(b)])
                }
            }
        };
        return names.iter().find_map(below);
    }
    (one != other).then(|| [key.to_owned(), one.to_string(), other.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named() {
        let one = json!({"b": {"adam": {"rate": 1}}, "k": 1, "a": 2});
        assert_eq!(difference("", &one, &one), None);
        let mut other = one.clone();
        other["k"] = json!(2);
        assert_eq!(difference("", &one, &other).unwrap(), ["k", "1", "2"]);
        other["b"] = json!({"sgd": {}});
        let found = difference("", &one, &other).unwrap();
        assert_eq!(found, ["b.adam", "{\"rate\":1}", "not there"]);
    }
}
