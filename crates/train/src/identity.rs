//! When two experiments are the same one: a checkpoint goes on only with the experiment that wrote it.

use crate::Experiment;
use serde_json::Value;
use std::collections::BTreeMap;

impl Experiment {
    /// A number that is equal for equal experiments, but for how long they run and how often they
    /// tell. FNV-1a over the settings, sorted.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for (key, value) in settings(&self.to_json()) {
            for byte in format!("{key}: {value}\n").bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        hash
    }

    /// All settings, defaults included.
    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("settings are numbers, texts and maps with texts as keys")
    }
}

/// Settings that may change between a checkpoint and its continuation: no step's meaning depends on them.
fn is_free(key: &str) -> bool {
    ["images", "on_alarm", "device", "capture", "ranks"].contains(&key) || key.starts_with("every.")
}

/// Every bound setting by its dotted key, in JSON.
fn settings(experiment: &Value) -> BTreeMap<String, String> {
    fn walk(key: &str, value: &Value, into: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) => {
                for (name, below) in map {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    walk(&key, below, into);
                }
            }
            _ if is_free(key) => {}
            // A run keeps what it was computed in; `auto` is from versions that knew cores alone.
            Value::String(auto) if key == "precision" && auto == "auto" => {
                into.insert(key.to_string(), "\"f32\"".to_string());
            }
            _ => {
                into.insert(key.to_string(), value.to_string());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk("", experiment, &mut all);
    // What versions that knew one rank alone did not say.
    all.entry("norm_statistics".to_string()).or_insert_with(|| "\"world\"".to_string());
    all
}

/// The first setting in which two experiments differ: key, the one's value, the other's.
pub(crate) fn difference(one: &Value, other: &Value) -> Option<[String; 3]> {
    let (a, b) = (settings(one), settings(other));
    let tell = |value: Option<&String>| value.cloned().unwrap_or_else(|| "nothing".to_string());
    a.keys()
        .chain(b.keys())
        .filter(|key| a.get(*key) != b.get(*key))
        .min()
        .map(|key| [key.clone(), tell(a.get(key)), tell(b.get(key))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Count, Precision};
    use serde_json::json;

    fn experiment(batch: usize) -> Experiment {
        let json = json!({
            "model": {"goodfellow": {}},
            "data": {"images": {"set": "mnist"}},
            "batch": batch,
            "images": "1k",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_longer_run_is_the_same_experiment() {
        let (short, mut long) = (experiment(100), experiment(100));
        long.images = Count(2_000);
        long.every.report = Count(7);
        long.on_alarm = crate::OnAlarm::Stop;
        assert_eq!(short.hash(), long.hash());
        assert_eq!(difference(&short.to_json(), &long.to_json()), None);
    }

    #[test]
    fn a_run_may_go_on_elsewhere() {
        let (one, mut other) = (experiment(100), experiment(100));
        other.device = crate::DeviceName::Cuda(1);
        other.capture = false;
        assert_eq!(one.hash(), other.hash());
        assert_eq!(difference(&one.to_json(), &other.to_json()), None);
        // A file of an earlier version says nothing of either.
        let mut earlier = one.to_json();
        for key in ["device", "capture"] {
            earlier.as_object_mut().unwrap().remove(key).unwrap();
        }
        assert_eq!(difference(&earlier, &other.to_json()), None);
    }

    #[test]
    fn a_run_keeps_its_precision() {
        let of = |precision| Experiment { precision, ..experiment(100) };
        let [auto, f32, bf16] = [Precision::Auto, Precision::F32, Precision::Bf16].map(of);
        assert_eq!(difference(&auto.to_json(), &f32.to_json()), None);
        assert_eq!(auto.hash(), f32.hash());
        assert_ne!(bf16.hash(), f32.hash());
        for (one, other, found) in
            [(&auto, &bf16, ["f32", "bf16"]), (&bf16, &auto, ["bf16", "f32"])]
        {
            let [key, was, is] = difference(&one.to_json(), &other.to_json()).unwrap();
            assert_eq!((key.as_str(), [was, is]), ("precision", found.map(|p| format!("\"{p}\""))));
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let (one, other) = (experiment(100), experiment(128));
        assert_ne!(one.hash(), other.hash());
        let found = difference(&one.to_json(), &other.to_json()).unwrap();
        assert_eq!(found, ["batch", "100", "128"]);
    }

    #[test]
    fn another_choice_is_a_difference() {
        let (one, mut other) = (experiment(100), experiment(100));
        other.objective = crate::Objective::Wasserstein(crate::Wasserstein::default());
        let found = difference(&one.to_json(), &other.to_json()).unwrap();
        assert_eq!(found, ["objective", "\"non_saturating\"", "nothing"]);
    }
}
