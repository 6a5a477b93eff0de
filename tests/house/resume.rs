//! 2N steps are N steps, a stop, and N more: the same bytes, whatever the number of threads.

use std::fs;
use tests::duel::{GAUSSIAN, Place};
use train::Checkpoint;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Images of a checkpoint in the middle, between two reports.
const HALF: u64 = 480;

fn checkpoint(images: u64) -> String {
    format!("{images:012}.safetensors")
}

/// The uninterrupted run `whole`, with one thread.
fn train(experiment: &str, sets: &str) -> Place {
    let place = Place::furnished(DUEL);
    let words = format!("train {experiment}.yaml --out whole --threads 1 {sets}");
    assert_eq!(place.duel(&words).fine(), "whole\n");
    let checkpoints: Vec<String> = place.files("whole/checkpoints").into_keys().collect();
    assert_eq!(checkpoints, [240, HALF, 720, 960].map(checkpoint));
    // 112 images are 7 batches of 16; the last line is told because the run ends.
    assert_eq!(place.metrics("whole").last().expect("a line")["images"], 960);
    place
}

/// Everything after the checkpoint in the middle is lost, and made again.
fn loses_its_second_half(place: &Place, threads: usize) {
    place.copy("whole", "lost");
    for images in [720, 960] {
        fs::remove_file(place.path("lost/checkpoints").join(checkpoint(images))).expect("there");
    }
    for images in [640, 960] {
        fs::remove_file(place.path(&format!("lost/samples/{images:012}.png"))).expect("there");
    }
    assert_eq!(place.duel(&format!("resume lost --threads {threads}")).fine(), "lost\n");
    assert_eq!(place.metrics("lost"), place.metrics("whole"));
    for folder in ["checkpoints", "samples"] {
        let [lost, whole] = ["lost", "whole"].map(|run| place.files(&format!("{run}/{folder}")));
        assert!(lost.keys().eq(whole.keys()), "{folder}: {:?}", lost.keys());
        for (name, bytes) in lost {
            assert!(bytes == whole[&name], "{folder}/{name} differs");
        }
    }
}

/// A run of half the length ends, is made longer, and goes on.
fn is_made_longer(place: &Place, experiment: &str, sets: &str) {
    let half = format!("--set images={HALF} --threads 2");
    place.duel(&format!("train {experiment}.yaml --out long {half} {sets}")).fine();
    let resolved = place.text("long/resolved.yaml");
    let longer = resolved.replace(&format!("\nimages: {HALF}\n"), "\nimages: 960\n");
    assert_ne!(longer, resolved);
    place.write("long/resolved.yaml", &longer);
    place.duel("resume long --threads 1").fine();
    assert_eq!(longer, place.text("whole/resolved.yaml"));
    assert_eq!(place.metrics("long"), place.metrics("whole"));
    for images in [240, HALF, 720, 960] {
        let file = format!("checkpoints/{}", checkpoint(images));
        let [long, whole] = ["long", "whole"].map(|run| format!("{run}/{file}"));
        if images > HALF {
            assert!(place.read(&long) == place.read(&whole), "{file} differs");
            continue;
        }
        // Those of the short run know how long it was to be, and differ in nothing else.
        let [mut long, mut whole] =
            [long, whole].map(|file| Checkpoint::read(&place.path(&file)).expect("readable"));
        assert_eq!(long.header.configuration["images"], HALF);
        long.header.configuration["images"] = 960.into();
        (long.origin, whole.origin) = (None, None);
        assert!(long == whole, "{file} differs");
    }
}

fn both(experiment: &str, sets: &str) {
    let place = train(experiment, sets);
    loses_its_second_half(&place, 2);
    is_made_longer(&place, experiment, sets);
}

#[test]
fn batch_norm_adam_and_mirrored_images() {
    both("dcgan", "");
}

#[test]
fn batch_norm_adam_and_shared_fakes() {
    both("dcgan", "--set schedule=shared_fakes");
}

#[test]
fn dropout_momentum_and_two_steps_of_d() {
    both("goodfellow", "");
}

#[test]
fn dropout_momentum_and_shared_fakes() {
    both("goodfellow", "--set schedule=shared_fakes --set k=1 --set batch=16");
}

#[test]
fn batch_norm_adam_and_simultaneous_steps() {
    both("dcgan", "--set schedule=simultaneous --set objective=least_squares");
}

#[test]
fn batch_norm_adam_and_alternating_batches() {
    both("dcgan", "--set schedule=alternate_batches --set batch=8 --set objective=hinge");
}

#[test]
fn dropout_momentum_and_simultaneous_steps() {
    both("goodfellow", "--set schedule=simultaneous --set k=1 --set batch=16");
}

#[test]
fn dropout_momentum_pairs_and_alternating_batches() {
    let objective = r#"objective={"relativistic":{"penalty":0.1}}"#;
    let schedule = "--set schedule=alternate_batches --set k=3 --set batch=4";
    both("goodfellow", &format!("--set {objective} {schedule}"));
}

#[test]
fn a_gradient_penalty() {
    let objective = r#"objective={"wasserstein":{"penalty":10}}"#;
    both("dcgan", &format!("--set {objective} --set model.dcgan.norm_d=none"));
}

#[test]
fn double_precision() {
    let place = train("dcgan", "--set precision=f64");
    loses_its_second_half(&place, 2);
    let last = Checkpoint::read(&place.path("whole/checkpoints").join(checkpoint(960)));
    assert_eq!(last.expect("readable").real_bytes, 8);
}

#[test]
fn numbers_without_a_data_set() {
    let place = Place::new(DUEL);
    place.write("g.yaml", GAUSSIAN.replace("checkpoint: 640", "checkpoint: 320"));
    place.duel("train g.yaml --out whole --threads 1").fine();
    place.copy("whole", "lost");
    for images in [640, 960, 1280] {
        fs::remove_file(place.path("lost/checkpoints").join(checkpoint(images))).expect("there");
    }
    place.duel("resume lost --threads 2").fine();
    assert_eq!(place.metrics("lost"), place.metrics("whole"));
    assert!(place.files("lost/checkpoints") == place.files("whole/checkpoints"));
    assert!(place.files("lost/samples") == place.files("whole/samples"));
    assert!(place.read("lost/figure1.png") == place.read("whole/figure1.png"));
}

/// What is finished stays as it is.
#[test]
fn a_finished_run_has_nothing_to_go_on_with() {
    let place = train("goodfellow", "");
    let before = place.everything();
    let said = place.duel("resume whole");
    assert!(said.err.contains("whole: all 960 images were shown already"), "{}", said.err);
    assert_eq!(said.fine(), "whole\n");
    assert!(place.everything() == before);
}
