//! The binary on a GPU: what each command prints and leaves, and that a run is the same however it came about.

use serde_json::Value;
use std::fs;
use tests::duel::{GAUSSIAN, Place, Said};
use tests::stand_in;
use train::Checkpoint;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Six iterations, a report and two checkpoints.
const SHORT: &str = "--set images=96 --set every.report=48 --set every.samples=96 \
                     --set every.checkpoint=48 --set device=cuda";

/// `duel` with these words where there is a GPU; none where there is neither GPU nor stand-in.
fn duel(place: &Place, words: &str) -> Option<Said> {
    let mut command = place.command(words);
    stand_in::show(&mut command).then(|| Said::of(command.output().expect("the binary starts")))
}

/// Trains into `out`; whether there was a GPU to do it on.
#[must_use]
fn train(place: &Place, experiment: &str, out: &str, sets: &str) -> bool {
    let said = duel(place, &format!("train {experiment}.yaml --out {out} {SHORT} {sets}"));
    said.map(|said| assert_eq!(said.fine(), format!("{out}\n"))).is_some()
}

/// What was computed is equal; what is told of capture is not part of it.
#[track_caller]
fn same(place: &Place, one: &str, other: &str) {
    assert_eq!(place.metrics(one), place.metrics(other));
    assert!(place.files(&format!("{one}/samples")) == place.files(&format!("{other}/samples")));
    for images in [48, 96] {
        let [mut one, mut other] = [one, other].map(|run| {
            let file = format!("{run}/checkpoints/{images:012}.safetensors");
            Checkpoint::read(&place.path(&file)).expect("readable")
        });
        (one.origin, other.origin) = (None, None);
        for checkpoint in [&mut one, &mut other] {
            checkpoint.header.configuration["capture"] = Value::Null;
        }
        assert!(one == other, "the checkpoints at {images} differ");
    }
}

#[test]
fn devices_are_listed() {
    let place = Place::new(DUEL);
    let Some(said) = duel(&place, "devices") else { return };
    let text = said.fine();
    let row = text.lines().find(|line| line.starts_with("cuda:0 ")).expect("a row");
    assert!(row.ends_with("can be used"), "{text}");
    assert!(text.contains("\ndriver ") && text.contains("CUDA 1"), "{text}");
    let said = duel(&place, "devices --json").expect("as before");
    let found: Value = serde_json::from_str(&said.fine()).expect("JSON");
    let device = &found["devices"][0];
    assert_eq!(device["device"], "cuda:0");
    let [memory, free] = ["memory", "memory_free"].map(|key| device[key].as_u64().expect("bytes"));
    assert!(free > 0 && free <= memory, "{device}");
    assert!(device["problem"].is_null() && found["problem"].is_null(), "{found}");
}

/// What was settled is written down: `auto` on a GPU is bf16 there.
#[test]
fn a_run_says_where_it_was_computed() {
    let place = Place::furnished(DUEL);
    if !train(&place, "dcgan", "run", "--set device=auto") {
        return;
    }
    let resolved = place.text("run/resolved.yaml");
    for line in ["device: cuda:0", "precision: bf16", "capture: true"] {
        assert!(resolved.lines().any(|found| found == line), "no `{line}` in {resolved}");
    }
    let machine: Value = serde_json::from_str(&place.text("run/machine.json")).expect("JSON");
    assert!(machine["gpu"].is_string() && machine["driver"].is_string(), "{machine}");
    // The page was made by the networks on the GPU as well.
    let page = place.text("run/report.html");
    assert!(page.contains("D's answers") && page.contains("cuda:0"));
    // A run's file that leaves it open is taken to be in f32, wherever it goes on: that is not this run.
    place.write("run/resolved.yaml", resolved.replace("precision: bf16", "precision: auto"));
    fs::remove_file(place.path("run/checkpoints/000000000096.safetensors")).expect("there");
    for device in ["cpu", "cuda"] {
        let said = duel(&place, &format!("resume run --device {device}")).expect("as before");
        let message = said.refused();
        assert!(message.contains("`precision` was \"bf16\" and is \"f32\" now"), "{message}");
    }
    // In its own precision it cannot go on on cores, which may be asked for samples all the same.
    place.write("run/resolved.yaml", resolved);
    let message = duel(&place, "resume run --device cpu").expect("as before").refused();
    let expected = "`precision`: found bf16, expected f32 or f64, since it is computed on cores";
    assert!(message.contains(expected), "{message}");
    let words = "sample run --n 4 --device cpu --out cores.npy";
    duel(&place, words).expect("as before").fine();
    let words = "sample run --n 4 --out gpu.npy";
    duel(&place, words).expect("as before").fine();
    let [cores, gpu] = ["cores.npy", "gpu.npy"].map(|file| place.read(file));
    assert_eq!(cores.len(), gpu.len());
    // bf16 has 8 bits, and a pixel is 1/255 of the range: a few of them, and not the same picture twice by
    // chance. The first 128 bytes are the header.
    let apart = |(a, b): (&u8, &u8)| a.abs_diff(*b);
    let most = cores[128..].iter().zip(&gpu[128..]).map(apart).max().expect("pixels");
    assert!(most <= 24, "{most} of 255 apart");
}

#[test]
fn a_dcgan_is_the_same_without_graphs_and_after_a_stop() {
    let place = Place::furnished(DUEL);
    if !train(&place, "dcgan", "whole", "") {
        return;
    }
    assert!(train(&place, "dcgan", "launched", "--set capture=false"));
    same(&place, "whole", "launched");
    goes_on(&place);
}

#[test]
fn goodfellows_networks_are_the_same_without_graphs_and_after_a_stop() {
    let place = Place::furnished(DUEL);
    if !train(&place, "goodfellow", "whole", "--set precision=f32") {
        return;
    }
    assert!(train(&place, "goodfellow", "launched", "--set precision=f32 --set capture=false"));
    same(&place, "whole", "launched");
    goes_on(&place);
    // A run in f32 may go on on cores.
    place.copy("whole", "elsewhere");
    let last = "elsewhere/checkpoints/000000000096.safetensors";
    fs::remove_file(place.path(last)).expect("there");
    duel(&place, "resume elsewhere --device cpu").expect("as before").fine();
    let checkpoint = Checkpoint::read(&place.path(last)).expect("readable");
    assert_eq!(checkpoint.header.configuration["device"], "cpu");
}

/// The second half of `whole` is lost, and made again.
fn goes_on(place: &Place) {
    place.copy("whole", "lost");
    for file in ["checkpoints/000000000096.safetensors", "samples/000000000096.png"] {
        fs::remove_file(place.path("lost").join(file)).expect("there");
    }
    assert_eq!(duel(place, "resume lost").expect("as before").fine(), "lost\n");
    same(place, "whole", "lost");
}

/// Plan and cost are those of the device; nothing is written.
#[test]
fn costs_are_told_before_a_run() {
    let place = Place::furnished(DUEL);
    let before = place.everything();
    let Some(said) = duel(&place, "train dcgan.yaml --dry-run --set device=cuda") else { return };
    let out = said.fine();
    for part in ["\ndevice: cuda:0\n", "\nprecision: bf16\n", "\npeak memory "] {
        assert!(out.contains(part), "no `{part}` in {out}");
    }
    let show =
        |words: &str| duel(&place, &format!("show dcgan.yaml {words}")).expect("as before").fine();
    let [gpu, tf32, cores] =
        ["--device cuda", "--set device=cuda --set precision=tf32", "--device cpu"].map(show);
    let peak = |text: &str| text.lines().last().expect("a line").to_string();
    assert_eq!(peak(&gpu), peak(&out));
    assert_ne!(peak(&gpu), peak(&tf32));
    assert_ne!(peak(&gpu), peak(&cores));
    assert!(place.everything() == before);
}

#[test]
fn a_step_is_profiled() {
    let place = Place::furnished(DUEL);
    let words = "profile dcgan.yaml --steps 1 --set device=cuda --out roof.png --json rows.json";
    let Some(said) = duel(&place, words) else { return };
    assert!(said.fine().contains("discriminator.1.weight"));
    let rows: Value = serde_json::from_str(&place.text("rows.json")).expect("JSON");
    let rows = rows.as_array().expect("rows");
    let ceiling = rows.iter().find(|row| row["kind"] == "ceiling").expect("a ceiling");
    for key in ["gflops", "gigabytes"] {
        assert!(ceiling[key].as_f64().is_some_and(|x| x > 0.0), "{ceiling}");
    }
    let total = rows.iter().find(|row| row["kind"] == "total").expect("a total");
    assert!(total["seconds"].as_f64().is_some_and(|x| x > 0.0), "{total}");
}

/// Variants whose `auto` was bf16 are not compared with others whose `auto` is f32.
#[test]
fn an_ablation_keeps_its_precision() {
    let place = Place::new(DUEL);
    place.write("g.yaml", GAUSSIAN);
    place.write(
        "a.yaml",
        "base: g\nseeds: [0]\nvariants: {one: {}, two: {k: 2}}\ncompare: [d_real]\n",
    );
    let Some(said) = duel(&place, "ablate a.yaml --out a --only one --device cuda") else { return };
    said.fine();
    assert!(
        place.text("a/one/seed0/resolved.yaml").contains("\ndevice: cuda:0\nprecision: bf16\n")
    );
    let message = duel(&place, "ablate a.yaml --out a --device cpu").expect("as before").refused();
    let expected = "`precision` was \"bf16\", and a.yaml asks for \"f32\" now";
    assert!(message.contains(expected), "{message}");
    assert!(!place.path("a/two").exists());
    duel(&place, "ablate a.yaml --out a --device cuda").expect("as before").fine();
    assert!(place.text("a/two/seed0/resolved.yaml").contains("\nprecision: bf16\n"));
}
