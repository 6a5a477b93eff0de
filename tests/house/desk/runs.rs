//! `duel runs`: runs of every state, and folders that are none.

use super::DUEL;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use tests::duel::Place;

/// The listing by the runs' names.
fn listed(place: &Place, words: &str) -> BTreeMap<String, Value> {
    let text = place.duel(&format!("runs {words} --json")).fine();
    let list: Vec<Value> = serde_json::from_str(&text).expect("a list in JSON");
    let name = |run: &Value| run["run"].as_str().expect("a path").to_string();
    list.into_iter().map(|run| (name(&run), run)).collect()
}

/// A place with a finished run at `runs/first/seed0` and, all of them parts or copies of it, one of
/// every other state.
fn place() -> Place {
    let place = Place::furnished(DUEL);
    place.duel("train dcgan.yaml --out runs/first/seed0").fine();
    for copy in ["runs/second/seed0", "runs/study/tanh/seed3", "runs/broken", "runs/cut"] {
        place.copy("runs/first/seed0", copy);
    }
    for late in ["000000000720", "000000000960"] {
        let file = format!("runs/second/seed0/checkpoints/{late}.safetensors");
        fs::remove_file(place.path(&file)).expect("a checkpoint");
    }
    place.write("runs/broken/resolved.yaml", "images: many\n");
    fs::remove_file(place.path("runs/cut/resolved.yaml")).expect("the experiment");
    place
}

#[test]
fn runs_of_every_state() {
    let place = place();
    let sets = "--set optimizer.generator.adam.rate=1e30 --set every.checkpoint=16";
    let message = place.duel(&format!("train dcgan.yaml --out runs/wild {sets}")).refused();
    let lock = File::open(place.path("runs/study/tanh/seed3/.lock")).expect("a lock");
    lock.try_lock().expect("nobody else works there");

    let before = place.everything();
    let runs = listed(&place, "");
    assert!(place.everything() == before, "a listing writes nothing");
    let states: Vec<_> =
        runs.iter().map(|(name, run)| (name.as_str(), run["state"].as_str().unwrap())).collect();
    let expected = [
        ("runs/broken", "unreadable"),
        ("runs/cut", "unreadable"),
        ("runs/first/seed0", "finished"),
        ("runs/second/seed0", "interrupted"),
        ("runs/study/tanh/seed3", "running"),
        ("runs/wild", "failed"),
    ];
    assert_eq!(states, expected);

    let first = &runs["runs/first/seed0"];
    let last = place.metrics("runs/first/seed0").pop().expect("a report");
    for key in ["d_real", "d_fake", "value"] {
        assert_eq!(first[key], last[key], "{key}");
    }
    assert_eq!([&first["images"], &first["of"]], [960, 960]);
    assert_eq!(runs["runs/second/seed0"]["images"], 480);
    assert!(runs["runs/study/tanh/seed3"]["seconds_left"].is_u64());
    assert_eq!(runs["runs/wild"]["reason"], message);
    assert_eq!(place.text("runs/wild/failure.txt"), format!("{message}\n"));
    let reason = |run: &str| runs[run]["reason"].as_str().expect("a reason").to_string();
    let broken = "runs/broken/resolved.yaml: `images`: found `many`, expected a count";
    assert!(reason("runs/broken").starts_with(broken), "{}", reason("runs/broken"));
    assert!(reason("runs/cut").contains("no `resolved.yaml`"), "{}", reason("runs/cut"));

    let text = place.duel("runs").fine();
    for (name, state) in expected {
        let row = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        assert!(row.is_some_and(|row| row.contains(state)), "{name} {state}:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours in a file:\n{text}");
    assert!(text.contains("`duel resume runs/"), "{text}");
    drop(lock);
    assert_eq!(listed(&place, "runs/study")["runs/study/tanh/seed3"]["state"], "finished");
}

/// A run that failed and went on is one that did not fail.
#[test]
fn a_resume_takes_the_failure_back() {
    let place = place();
    let run = "runs/second/seed0";
    place.write(&format!("{run}/failure.txt"), "the disk was full\n");
    assert_eq!(listed(&place, run)[run]["state"], "failed");
    place.duel(&format!("resume {run}")).fine();
    let now = &listed(&place, run)[run];
    assert_eq!([&now["state"], &now["reason"]], [&Value::from("finished"), &Value::Null]);
    assert!(!place.path(&format!("{run}/failure.txt")).exists());
}

#[test]
fn where_no_run_is() {
    let place = Place::new(DUEL);
    let said = place.duel("runs");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert_eq!(said.err, "runs: no runs yet; `duel train EXPERIMENT.yaml` starts one\n");
    assert_eq!(place.duel("runs --json").fine(), "[]\n");
    let message = place.duel("runs elsewhere").refused();
    assert_eq!(message, "elsewhere: no such folder; `duel runs` alone lists those in runs/");
}

#[test]
fn a_run_knows_its_machine() {
    let place = place();
    let text = place.text("runs/first/seed0/machine.json");
    let machine: Value = serde_json::from_str(&text).expect("JSON");
    for key in ["cpu", "instructions", "os", "kernel", "duel"] {
        assert!(machine[key].as_str().is_some_and(|told| !told.is_empty()), "{key} in {text}");
    }
    for key in ["cores", "usable_cores", "memory"] {
        assert!(machine[key].as_u64().is_some_and(|told| told > 0), "{key} in {text}");
    }
}
