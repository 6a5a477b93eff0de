//! Run directories and checkpoints that cannot be gone on with, and disks that are full.

use super::DUEL;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use tests::duel::{Place, Said};

/// A place with the finished run `run`.
fn finished(sets: &str) -> Place {
    let place = Place::furnished(DUEL);
    place.duel(&format!("train dcgan.yaml --out run {sets}")).fine();
    place
}

/// Commands that need the last checkpoint say the same, and change nothing.
#[track_caller]
fn refused(place: &Place, expected: &str) {
    let before = place.everything();
    for command in ["resume run", "sample run"] {
        let message = place.duel(command).refused();
        assert!(message.contains(expected), "{command}: {message}");
    }
    // The lock is the mark of a process that was there.
    assert!(place.everything() == before, "something was lost or written");
}

const LAST: &str = "run/checkpoints/000000000960.safetensors";

#[test]
fn a_checkpoint_of_another_experiment() {
    let place = finished("");
    place.duel("train dcgan.yaml --set seed=1 --out other").fine();
    // The run has a longer log than the foreign checkpoint knows of. It must stay.
    place.copy("other/checkpoints", "other/copies");
    let foreign = place.read("other/copies/000000000240.safetensors");
    fs::remove_dir_all(place.path("run/checkpoints")).expect("a folder");
    place.write("run/checkpoints/000000000240.safetensors", foreign);
    refused(
        &place,
        "run/checkpoints/000000000240.safetensors: the checkpoint is of another experiment: `seed` was 1 \
         and is 0 now; set it back, or start a run of its own",
    );
    // The same with another type of number, which the configuration tells first.
    place.duel("train dcgan.yaml --set precision=f64 --out double").fine();
    let foreign = place.read("double/checkpoints/000000000240.safetensors");
    place.write("run/checkpoints/000000000240.safetensors", foreign);
    refused(&place, "`precision` was \"f64\" and is \"f32\" now");
}

#[test]
fn checkpoints_that_are_damaged() {
    let place = finished("");
    let whole = place.read(LAST);

    place.write(LAST, &whole[..whole.len() - 100]);
    refused(&place, &format!("{LAST}: found {} bytes that are fewer", whole.len() - 100));
    refused(&place, "it was cut short, or written over; use an earlier checkpoint");

    place.write(LAST, "");
    refused(&place, &format!("{LAST}: found 0 bytes that are no safetensors file"));

    // The last four bytes are the last number of the last tensor.
    let mut bytes = whole.clone();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    place.write(LAST, bytes);
    refused(&place, &format!("{LAST}: tensor `"));
    refused(&place, "` holds NaN at element ");

    place.write(LAST, place.read("run/curves.png"));
    refused(&place, "no safetensors file");

    // The advice holds: an earlier one goes on.
    fs::remove_file(place.path(LAST)).expect("a file");
    place.duel("resume run").fine();
    assert!(place.read(LAST) == whole);
}

/// A log that lacks what the checkpoint promises is of another run.
#[test]
fn a_log_that_is_too_short() {
    let place = finished("");
    fs::remove_file(place.path(LAST)).expect("a file");
    place.write("run/metrics.jsonl", "");
    let before = place.everything();
    let message = place.duel("resume run").refused();
    let expected = "run/metrics.jsonl: has 0 complete lines, but the checkpoint was taken after 6";
    assert!(message.contains(expected), "{message}");
    assert!(place.everything() == before);
}

#[test]
fn directories_that_are_taken_or_no_runs() {
    let place = finished("");
    let before = place.everything();
    let message = place.duel("train dcgan.yaml --out run").refused();
    assert!(message.starts_with("run: there is a run here already"), "{message}");
    assert!(message.contains("`duel resume run`") && message.contains("`--out DIR`"), "{message}");
    let message = place.duel("train dcgan.yaml --out dcgan.yaml").refused();
    assert!(message.starts_with("dcgan.yaml: "), "{message}");
    for command in ["resume", "sample"] {
        let message = place.duel(&format!("{command} nowhere")).refused();
        assert_eq!(message, "nowhere: no such run directory");
        let message = place.duel(&format!("{command} datasets")).refused();
        assert!(message.starts_with("datasets: found no `resolved.yaml`"), "{message}");
        let message = place.duel(&format!("{command} dcgan.yaml")).refused();
        assert_eq!(message, "dcgan.yaml: no such run directory");
    }
    assert!(place.everything() == before);
}

#[test]
fn two_processes_in_one_run() {
    let place = Place::furnished(DUEL);
    let mut first = place.command("train dcgan.yaml --out run --set images=100M");
    first.stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().expect("the binary starts");
    while !place.path("run/checkpoints/000000000240.safetensors").exists() {
        assert!(first.try_wait().expect("our child").is_none(), "the run has ended");
        sleep(Duration::from_millis(5));
    }
    let message = place.duel("resume run").refused();
    first.kill().expect("our child");
    first.wait().expect("our child");
    assert_eq!(message, "run: another process trains here");
}

#[test]
fn samples_that_cannot_be_drawn() {
    let place = finished("");
    let before = place.everything();
    for (words, expected) in [
        ("--n 0", "--n 0: expected one sample or more"),
        ("--out a.jpg", "--out a.jpg: expected a name that ends in .png or .npy"),
        ("--out a", "--out a: expected a name that ends in .png or .npy"),
        ("--n 1025", "--n 1025: 1024 fit on a picture; use --out FILE.npy"),
    ] {
        assert_eq!(place.duel(&format!("sample run {words}")).refused(), expected);
    }
    assert!(place.everything() == before);
}

#[test]
fn words_that_are_no_command() {
    let place = Place::new(DUEL);
    for words in ["trian x.yaml", "train", "train x.yaml --sets k=1", "", "--threads many show x"] {
        let Said { code, out, err } = place.duel(words);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains("Usage") || err.contains("--help"), "{err}");
    }
    let Said { code, err, .. } = place.duel("--log train=loud show x.yaml");
    assert_eq!(code, Some(2));
    assert!(err.contains("error: --log train=loud: ") && err.contains("info"), "{err}");
}

/// A disk that is full, as a limit on the size of files: just over half of this many bytes, or all
/// but a tenth of them, as shells differ in what a block is.
fn limited(place: &Place, size: usize, words: &str) -> String {
    place.shell(&format!("ulimit -f {}; exec \"$0\" {words}", size / 1100 + 20)).refused()
}

#[test]
fn a_checkpoint_that_finds_no_room() {
    // So wide that a checkpoint is the largest of the files.
    let place = finished("--set model.dcgan.width=32 --set images=480");
    let last = "checkpoints/000000000480.safetensors";
    let size = place.read(&format!("run/{last}")).len();
    let message = limited(&place, size, "train run/resolved.yaml --out full");
    let file = "full/checkpoints/000000000240.safetensors: ";
    assert!(
        message.starts_with(&format!("{file}the checkpoint could not be written: ")),
        "{message}"
    );
    assert!(message.contains("is intact") && message.contains("`ulimit -f`"), "{message}");
    assert!(place.files("full/checkpoints").is_empty(), "half a checkpoint");
    place.duel("resume full").fine();
    assert_eq!(place.metrics("full"), place.metrics("run"));
    assert!(place.read(&format!("full/{last}")) == place.read(&format!("run/{last}")));
}

/// The limit cuts a line of the log in two.
#[test]
fn a_log_that_finds_no_room() {
    let place = Place::new(DUEL);
    // Networks so small, and reports so many, that the log is the largest of the files.
    place.write(
        "small.yaml",
        "
model:
  goodfellow:
    generator: {latent: 1, hidden: [], output: linear}
    discriminator: {maxout: [1], pieces: 2}
data: {gaussian: {}}
batch: 16
images: 24k
every: {report: 16, checkpoint: 3200, samples: 1M}
",
    );
    place.duel("train small.yaml --out whole").fine();
    let size = place.read("whole/metrics.jsonl").len();
    let message = limited(&place, size, "train small.yaml --out full");
    assert!(message.starts_with("full/metrics.jsonl: File too large"), "{message}");
    assert!(message.contains("`ulimit -f`"), "{message}");
    assert!(!place.text("full/metrics.jsonl").ends_with('\n'), "no line was cut");
    place.duel("resume full").fine();
    assert_eq!(place.metrics("full"), place.metrics("whole"));
    assert!(place.files("full/checkpoints") == place.files("whole/checkpoints"));
}

/// G's first update throws its weights far away; the second step cannot be finite any more.
#[test]
fn a_step_that_is_not_finite() {
    let place = Place::furnished(DUEL);
    let sets = "--set optimizer.generator.adam.rate=1e30 --set every.checkpoint=16";
    let message = place.duel(&format!("train dcgan.yaml --out run {sets}")).refused();
    let file = "run/checkpoints/000000000016.safetensors";
    assert!(message.starts_with("step 2 (16 images): "), "{message}");
    for part in [
        // Finite weights, but not their variance.
        "program `discriminator_step`: `moments ",
        "recorded at crates/model/src/dcgan/generator.rs:",
        "generator.0.running",
        "Nothing was updated since, and nothing was written",
        &format!("The last checkpoint is {file}"),
        "Try a lower learning rate",
    ] {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    let checkpoint = train::Checkpoint::read(&place.path(file)).expect("finite and whole");
    assert_eq!(checkpoint.header.progress.step, 1);
    assert_eq!(place.files("run/checkpoints").len(), 1);
    // The same steps have the same end.
    assert_eq!(place.duel("resume run").refused(), message);
    assert!(train::Checkpoint::read(&place.path(file)).expect("still there") == checkpoint);
    // Another rate is another experiment.
    let resolved = place.text("run/resolved.yaml");
    let slower = resolved.replace("rate: 1e30", "rate: 0.0002");
    assert_ne!(slower, resolved);
    place.write("run/resolved.yaml", slower);
    let message = place.duel("resume run").refused();
    assert!(
        message.contains("`optimizer.generator.adam.rate` was 1e+30 and is 0.0002 now"),
        "{message}"
    );
}
