//! Games that were made to fail are noticed within 2,000 iterations, and the run does what it is told:
//! warns, stops or rolls back. (Healthy games are left alone: `gaussian` runs five to their end.)

use serde_json::Value;
use std::fs;
use tests::duel::{Place, Said};
use train::Checkpoint;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Ends well, as it is.
const SMALL: &str = "
model:
  goodfellow:
    generator: {latent: 1, range: 1, hidden: [16], output: linear, init: 0.5}
    discriminator: {maxout: [16], pieces: 2, keep_input: 1, keep_hidden: 1, init: 0.2}
data: {gaussian: {mean: 4, std: 1}}
batch: 64
images: 160k
optimizer: {generator: {adam: {rate: 1.0e-3}}, discriminator: {adam: {rate: 1.0e-3}}}
every: {report: 6.4k, samples: 100M, checkpoint: 100M}
";

/// G hardly moves, and D learns at once that what is far from 4 is fake.
const D_WINS: &str = "--set optimizer.generator.adam.rate=1e-6 \
                      --set optimizer.discriminator.adam.rate=1e-2";

/// The first steps of G are so long that none of its units is ever active again.
const G_COLLAPSES: &str = "--set optimizer.generator.adam.rate=0.1";

/// Nobody moves.
const LOSS_STUCK: &str = "--set optimizer.generator.adam.rate=1e-10 \
                          --set optimizer.discriminator.adam.rate=1e-10";

/// A momentum that rises until G is thrown out of its place, some 1,900 iterations from the start.
const LATE: &str = r#"--set optimizer.generator={"sgd":{"rate":0.05,"momentum":{"from":0.0,"to":0.96,"over":"100k"}}}"#;

fn place() -> Place {
    let place = Place::new(DUEL);
    place.write("small.yaml", SMALL);
    place
}

fn train(place: &Place, run: &str, sets: &str) -> Said {
    place.duel(&format!("train small.yaml --out {run} --threads 1 {sets}"))
}

/// The alarms that were told.
fn told(said: &Said) -> Vec<String> {
    let alarms = said.err.lines().filter(|line| line.starts_with("alarm: "));
    alarms.map(str::to_string).collect()
}

/// The lines of a log with an alarm of this name in force.
fn lines(place: &Place, run: &str, name: &str) -> Vec<Value> {
    let has = |line: &Value| {
        line.get("alarms")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|a| a == name))
    };
    place.metrics(run).into_iter().filter(has).collect()
}

/// The run goes on to its end; the alarm is told once, above the bar and in the log, in time.
#[track_caller]
fn warns(name: &str, sets: &str) {
    let place = place();
    let said = train(&place, "run", sets);
    let told = told(&said);
    assert_eq!(told.len(), 1, "{}", said.err);
    assert!(told[0].starts_with(&format!("alarm: {name} after ")), "{}", told[0]);
    assert!(told[0].ends_with("; the run goes on"), "{}", told[0]);
    said.fine();
    let found = lines(&place, "run", name);
    let step = found[0]["step"].as_u64().expect("a count");
    assert!(step <= 2000, "{step}");
    let told_at = format!("(step {step})");
    assert!(told[0].contains(&told_at), "{}: {told_at}", told[0]);
    // It stays in force.
    assert_eq!(found.last().expect("lines")["images"], 160_000);
    assert!(place.path(&format!("run/samples/{:012}.png", step * 64)).exists(), "a picture of it");
}

#[test]
fn a_healthy_game_is_left_alone() {
    let place = place();
    let said = train(&place, "run", "");
    assert!(!said.err.contains("alarm"), "{}", said.err);
    said.fine();
    let lines = place.metrics("run");
    assert!(lines.iter().all(|line| line.get("alarms").is_none()));
    // G begins as next to nothing and becomes what the data is.
    let diversity = |line: &Value| line["diversity"].as_f64().expect("a number");
    let (first, last) = (diversity(&lines[0]), diversity(&lines[lines.len() - 1]));
    assert!(first < 0.2 && (0.6..1.6).contains(&last), "{first} {last}");
    let logit = lines[lines.len() - 1]["logit_fake"].as_f64().expect("a number");
    assert!(logit.abs() < 0.5, "{logit}");
}

#[test]
fn d_wins() {
    warns("d_wins", D_WINS);
}

#[test]
fn g_collapses() {
    warns("g_collapses", G_COLLAPSES);
}

#[test]
fn the_loss_is_stuck() {
    warns("loss_stuck", LOSS_STUCK);
}

/// Looks do not wait for reports.
#[test]
fn rare_reports_hide_nothing() {
    for (name, sets) in
        [("d_wins", D_WINS), ("g_collapses", G_COLLAPSES), ("loss_stuck", LOSS_STUCK)]
    {
        warns(name, &format!("{sets} --set every.report=100M"));
    }
}

#[test]
fn a_critic_has_no_probability_to_be_sure_of() {
    let place = place();
    let game = r#"--set objective={"wasserstein":{"penalty":0}}"#;
    let said = train(&place, "run", &format!("{D_WINS} {game}"));
    assert!(!said.err.contains("d_wins"), "{}", said.err);
    let logit = place.metrics("run").last().expect("lines")["logit_fake"].as_f64();
    assert!(logit.expect("a number") < -5.0, "{logit:?}");
}

#[test]
fn stop_keeps_the_run_and_ends_it_with_an_error() {
    let place = place();
    let message = train(&place, "run", &format!("{D_WINS} --set on_alarm=stop")).refused();
    for part in [
        "alarm d_wins after 102400 images (step 1600): D's mean logit on fakes is -",
        "it has been so since 6400 images",
        "as `on_alarm: stop` says",
        "The last checkpoint is run/checkpoints/000000102400.safetensors",
        "Try a lower rate for D",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(lines(&place, "run", "d_wins").len(), 1);
    // Who goes on all the same has been told, and is the run that was only warned.
    place.duel("resume run --threads 1").fine();
    train(&place, "warned", D_WINS).fine();
    assert_eq!(place.metrics("run"), place.metrics("warned"));
    let last = |run: &str| {
        let path = place.path(run).join("checkpoints/000000160000.safetensors");
        Checkpoint::read(&path).expect("readable")
    };
    assert!(last("run").tensors == last("warned").tensors);
}

const BACK: &str = "--set images=256k --set every.checkpoint=16k --set on_alarm=rollback";

/// What a rollback leaves: the newest checkpoint from before the fall, and all behind it put aside.
fn rolled_back() -> Place {
    let place = place();
    let said = train(&place, "whole", &format!("{LATE} {BACK}"));
    let told = told(&said);
    assert_eq!(told.len(), 1, "{}", said.err);
    assert!(told[0].starts_with("alarm: g_collapses after 217600 images"), "{}", told[0]);
    let answer = "; the run goes back to 112000 images, with 0.5 of its rates";
    assert!(told[0].ends_with(answer), "{}", told[0]);
    said.fine();
    place
}

#[track_caller]
fn same(place: &Place, run: &str) {
    assert_eq!(place.metrics(run), place.metrics("whole"), "{run}");
    for file in ["checkpoints/000000256000.safetensors", "abandoned-1/samples/000000217600.png"] {
        let [ours, whole] = [run, "whole"].map(|run| place.read(&format!("{run}/{file}")));
        assert!(ours == whole, "{run}/{file} differs");
    }
    let names = |run: &str, folder: &str| {
        place.files(&format!("{run}/{folder}")).into_keys().collect::<Vec<_>>()
    };
    for folder in ["checkpoints", "abandoned-1/checkpoints", "samples"] {
        assert_eq!(names(run, folder), names("whole", folder), "{run}/{folder}");
    }
}

/// Sets the length of a run that has ended, goes on with it, and forgets what only an end makes: its
/// samples, and its checkpoint if none was due.
fn longer(place: &Place, run: &str, ended: u64) {
    let resolved = place.text(&format!("{run}/resolved.yaml"));
    let all = resolved.replace(&format!("\nimages: {ended}\n"), "\nimages: 256000\n");
    assert_ne!(all, resolved);
    place.write(&format!("{run}/resolved.yaml"), all);
    place.duel(&format!("resume {run} --threads 2")).fine();
    let number = format!("{ended:012}.");
    for path in place.everything().into_keys().filter(|path| path.starts_with(place.path(run))) {
        let name = path.file_name().expect("a name").to_string_lossy().to_string();
        let due = name.ends_with(".safetensors") && ended.is_multiple_of(16_000);
        if name.starts_with(&number) && !due {
            fs::remove_file(path).expect("it is there");
        }
    }
}

#[test]
fn rollback_goes_on_from_the_last_good_checkpoint_with_lower_rates() {
    let place = rolled_back();
    let aside = place.files("whole/abandoned-1");
    let kept: Vec<&String> = aside.keys().filter(|name| name.ends_with(".safetensors")).collect();
    let expected = [128_000, 144_000, 160_000, 176_000, 192_000, 208_000]
        .map(|n| format!("{n:012}.safetensors"));
    assert_eq!(kept, expected.iter().collect::<Vec<_>>());
    assert!(aside.contains_key("000000217600.png"), "{:?}", aside.keys());
    let [last] = &lines(&place, "whole/abandoned-1", "g_collapses")[..] else { panic!("one line") };
    assert_eq!(last["images"], 217_600);
    // The log that goes on never goes back, and says since when the rates are lower.
    let log = place.metrics("whole");
    let images = |line: &Value| line["images"].as_u64().expect("a count");
    assert!(log.is_sorted_by(|a, b| images(a) < images(b)));
    let lower = |line: &Value| line.get("rollbacks") == Some(&1.into());
    assert!(log.iter().all(|line| lower(line) == (images(line) > 112_000)));
    let path = place.path("whole/checkpoints/000000112000.safetensors");
    let good = Checkpoint::read(&path).expect("readable").header.progress;
    assert_eq!((good.images, good.rollbacks), (112_000, 1));
    let diversity = log.last().expect("lines")["diversity"].as_f64().expect("a number");
    assert!(diversity > 0.4, "{diversity}");
}

/// Ended before the fall, within it, and after the rollback.
#[test]
fn a_run_that_rolls_back_is_the_same_after_a_stop() {
    let place = rolled_back();
    for images in [96_000, 150_400, 240_000] {
        let run = format!("to{images}");
        train(&place, &run, &format!("{LATE} {BACK} --set images={images}")).fine();
        longer(&place, &run, images);
        same(&place, &run);
    }
}

/// A kill while the checkpoints are put aside, newest first; and one when all were, before the good one
/// was replaced.
#[test]
fn a_run_that_is_killed_while_it_rolls_back_is_the_same() {
    let place = rolled_back();
    for moved in [1, 6] {
        let run = format!("killed{moved}");
        train(&place, &run, &format!("{LATE} {BACK} --set images=208k")).fine();
        let later = [208_000, 192_000, 176_000, 160_000, 144_000, 128_000];
        for images in later.iter().take(moved) {
            let name = format!("{images:012}.safetensors");
            let from = format!("{run}/checkpoints/{name}");
            place.write(&format!("{run}/abandoned-1/checkpoints/{name}"), place.read(&from));
            fs::remove_file(place.path(&from)).expect("it is there");
        }
        place.write(&format!("{run}/abandoned-1/.metrics.jsonl.Zk03aB.part"), "half");
        longer(&place, &run, 208_000);
        same(&place, &run);
        let left = place.files(&run).into_keys().find(|name| name.ends_with(".part"));
        assert_eq!(left, None);
    }
}

#[test]
fn without_a_checkpoint_from_before_there_is_no_way_back() {
    let place = place();
    let sets = format!("{D_WINS} --set on_alarm=rollback --set every.checkpoint=32k");
    let message = train(&place, "run", &sets).refused();
    assert!(message.contains("There is no checkpoint from before that"), "{message}");
    assert!(message.contains("a smaller `every.checkpoint` keeps them"), "{message}");
    assert!(!place.path("run/abandoned-1").exists());
}

/// D wins with a quarter of its rate as well, and with an eighth.
#[test]
fn a_run_goes_back_three_times_at_most() {
    let place = place();
    let sets = format!("{D_WINS} --set on_alarm=rollback --set every.checkpoint=640");
    let said = train(&place, "run", &sets);
    let told = told(&said);
    assert_eq!(told.len(), 3, "{}", said.err);
    for (line, rates) in told.iter().zip(["0.5", "0.25", "0.125"]) {
        assert!(line.ends_with(&format!("with {rates} of its rates")), "{line}");
    }
    let message = said.refused();
    assert!(message.contains("The run went back 3 times already and ends"), "{message}");
    assert!(place.path("run/abandoned-3/metrics.jsonl").exists());
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let message = train(&place(), "run", "--set on_alarm=panic").refused();
    for part in ["on_alarm", "panic", "warn", "stop", "rollback"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
