//! Runs whose ranks are threads, as people start them; what launchers may not say.

use serde_json::Value;
use std::fs;
use tests::duel::{Place, Said};
use train::Checkpoint;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Twenty iterations in f64, with batch norms in both networks, Adam and an average.
const SETS: &str = "--set images=320 --set every.report=80 --set every.samples=160 --set every.checkpoint=80 \
                    --set precision=f64 --set ema=0.99 --threads 1";

/// What sums in another order may make of numbers around 1 in twenty steps of f64: a few units in the last
/// place, 2.2e-16, that Adam's division by small moments lets grow.
const ROUNDING: f64 = 1e-12;

fn train(place: &Place, out: &str, ranks: usize) {
    let words = format!("train dcgan.yaml --out {out} {SETS} --ranks {ranks}");
    assert_eq!(place.duel(&words).fine(), format!("{out}\n"));
}

/// The largest difference of two runs at their end, relative where numbers are above 1.
fn apart(place: &Place, one: &str, other: &str) -> f64 {
    let [one, other] = [one, other].map(|run| {
        let file = place.path(&format!("{run}/checkpoints/000000000320.safetensors"));
        Checkpoint::read(&file).expect("readable").tensors
    });
    let reals = |bytes: &[u8]| -> Vec<f64> {
        bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes"))).collect()
    };
    let mut most: f64 = 0.0;
    for (a, b) in one.iter().zip(&other) {
        assert_eq!(a.name, b.name);
        for (x, y) in reals(&a.bytes).into_iter().zip(reals(&b.bytes)) {
            most = most.max((x - y).abs() / x.abs().max(1.0));
        }
    }
    most
}

#[test]
fn ranks_leave_the_run_that_one_leaves() {
    let place = Place::furnished(DUEL);
    train(&place, "one", 1);
    for ranks in [2, 4] {
        let out = format!("of{ranks}");
        train(&place, &out, ranks);
        let apart = apart(&place, "one", &out);
        assert!(apart < ROUNDING, "{ranks} ranks: {apart:e}");
        for folder in ["checkpoints", "samples"] {
            let names = |run: &str| place.files(&format!("{run}/{folder}")).into_keys();
            assert!(names("one").eq(names(&out)), "{folder}");
        }
        let [one, all] = ["one", &out].map(|run| place.metrics(run));
        assert_eq!(one.len(), all.len());
        for (one, all) in one.iter().zip(&all) {
            let [one, all] = [one, all].map(|line| line["loss_d"].as_f64().expect("a loss"));
            assert!((one - all).abs() < ROUNDING, "{one} {all}");
        }
        // Before the first step nothing was summed over ranks.
        let first = "samples/000000000000.png";
        assert!(place.read(&format!("one/{first}")) == place.read(&format!("{out}/{first}")));
    }
    // The same again, bit for bit.
    train(&place, "again", 2);
    let file = "checkpoints/000000000320.safetensors";
    let [two, again] = ["of2", "again"].map(|run| place.read(&format!("{run}/{file}")));
    assert!(two == again);
    let machine: Value = serde_json::from_str(&place.text("of4/machine.json")).expect("JSON");
    assert_eq!(machine["ranks"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let place = Place::furnished(DUEL);
    train(&place, "one", 1);
    train(&place, "many", 2);
    for images in [240, 320] {
        fs::remove_file(place.path(&format!("many/checkpoints/{images:012}.safetensors")))
            .expect("it was written");
    }
    assert_eq!(place.duel("resume many --ranks 4 --threads 1").fine(), "many\n");
    let apart = apart(&place, "one", "many");
    assert!(apart < ROUNDING, "{apart:e}");
    assert_eq!(place.metrics("one").len(), place.metrics("many").len());
}

#[test]
fn statistics_of_each_rank_are_another_game() {
    let place = Place::furnished(DUEL);
    let words = |out: &str, more: &str| format!("train dcgan.yaml --out {out} {SETS} {more}");
    place.duel(&words("one", "")).fine();
    place.duel(&words("own", "--set norm_statistics=rank --ranks 4")).fine();
    assert!(apart(&place, "one", "own") > 1e-6);
    // It is a part of what a run is.
    let resolved = place.text("own/resolved.yaml");
    fs::remove_file(place.path("own/checkpoints/000000000320.safetensors")).expect("written");
    place.write("own/resolved.yaml", resolved.replace("_statistics: rank", "_statistics: world"));
    let message = place.duel("resume own").refused();
    assert!(message.contains("`norm_statistics` was \"rank\" and is \"world\" now"), "{message}");
}

#[test]
fn numbers_of_ranks_that_cannot_be() {
    let place = Place::furnished(DUEL);
    let message = place.duel("train dcgan.yaml --ranks 3").refused();
    let expected = "`batch`: found 16, expected a multiple of 3, the number of ranks; use 15 or 18";
    assert!(message.contains(expected), "{message}");
    let message = place.duel("train dcgan.yaml --set ranks=0").refused();
    assert!(message.contains("`ranks`: found 0, expected 1 to 1024"), "{message}");
    assert!(!place.path("runs").exists());
}

/// `duel` as if a launcher had started it.
fn launched(place: &Place, words: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = place.command(words);
    command.envs(variables.iter().copied());
    Said::of(command.output().expect("the binary starts"))
}

#[test]
fn launchers_that_contradict_what_was_asked_for() {
    let place = Place::furnished(DUEL);
    let open_mpi = [("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")];
    let message = launched(&place, "train dcgan.yaml --ranks 4", &open_mpi).refused();
    let expected = "`ranks` is 4, and Open MPI's mpirun has started 2 ranks";
    assert!(message.contains(expected), "{message}");
    let message = launched(&place, "ablate dcgan.yaml", &open_mpi).refused();
    assert!(message.contains("an ablation starts its own runs"), "{message}");
    let message = launched(&place, "train dcgan.yaml", &[("RANK", "1")]).refused();
    assert!(message.contains("RANK") && message.contains("WORLD_SIZE"), "{message}");
    let alone = [("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")];
    let message = launched(&place, "train dcgan.yaml", &alone).refused();
    assert!(message.contains("MASTER_ADDR"), "{message}");
    let slow = [("DUEL_DEADLINE", "soon")];
    let message = launched(&place, "train dcgan.yaml --ranks 2", &slow).refused();
    assert!(message.contains("DUEL_DEADLINE is `soon`"), "{message}");
    assert!(!place.path("runs").exists());
}

#[test]
fn the_doctor_adds_up() {
    let place = Place::new(DUEL);
    let found = place.duel("doctor --ranks 2 --json --threads 1").fine();
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let seen = &found["ranks"];
    assert_eq!(seen["ranks"].as_array().map(Vec::len), Some(2), "{seen}");
    for sum in seen["sums"].as_array().expect("a list") {
        assert!(sum["seconds"].as_f64().is_some_and(|s| s > 0.0), "{sum}");
    }
    assert!(seen["launcher"].as_str().is_some_and(|text| text.contains("no launcher")), "{seen}");
}
