//! Checkpoints there and back, and every kind of damage.

use super::*;
use crate::fake::{FakeDevice, experiment, recorded};
use crate::{Experiment, Recorded};
use serde_json::json;
use tape::{Device, Options};

fn spec() -> Experiment {
    experiment(json!({"ema": 0.9}))
}

fn loaded(recorded: &Recorded) -> FakeDevice {
    let mut device = FakeDevice::default();
    device.load(&recorded.tape, &Options::default()).unwrap();
    device
}

/// A state in which every tensor holds numbers of its own.
fn filled() -> (Experiment, Recorded, FakeDevice) {
    let spec = spec();
    let recorded = recorded(&spec);
    let mut device = loaded(&recorded);
    for (i, (_, t)) in recorded.tape.saved().into_iter().enumerate() {
        let n = recorded.tape.shape(t).len();
        reals::write(&mut device, t, (0..n).map(|j| (i * 100 + j) as f64)).unwrap();
    }
    (spec, recorded, device)
}

fn checkpoint() -> Checkpoint {
    let (spec, recorded, mut device) = filled();
    let progress = Progress { step: 3, images: 12, tick: 6, ..Progress::default() };
    Checkpoint::save(&spec, &recorded, &mut device, progress, [12, 2], &Watch::default()).unwrap()
}

fn refused(checkpoint: &Checkpoint, spec: &Experiment) -> String {
    let recorded = recorded(spec);
    let mut device = loaded(&recorded);
    checkpoint.restore(spec, &recorded, &mut device).unwrap_err().to_string()
}

/// Writes these bytes to a file, and reads it as a checkpoint.
fn read_error(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let error = Checkpoint::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    error
}

#[test]
fn everything_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let written = checkpoint();
    written.write(&path).unwrap();
    let read = Checkpoint::read(&path).unwrap();
    assert_eq!(read.header, written.header);
    assert_eq!(read.tensors, written.tensors);
    assert_eq!(read.experiment().unwrap(), spec());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    let (spec, recorded, _) = filled();
    let mut device = loaded(&recorded);
    read.restore(&spec, &recorded, &mut device).unwrap();
    let (outside, watch) = ([12, 2], Watch::default());
    let again =
        Checkpoint::save(&spec, &recorded, &mut device, read.header.progress, outside, &watch)
            .unwrap();
    assert!(again.to_bytes() == std::fs::read(&path).unwrap());
}

/// Hash maps are seeded anew for each map, so thirty equal results are no accident.
#[test]
fn equal_states_give_equal_bytes() {
    let bytes = checkpoint().to_bytes();
    for _ in 0..30 {
        assert!(checkpoint().to_bytes() == bytes);
    }
}

#[test]
fn state_optimiser_and_average_are_saved_by_name() {
    let names: Vec<String> = checkpoint().tensors.into_iter().map(|saved| saved.name).collect();
    for name in [
        "generator.0.weight",
        "generator.ema.1.bias",
        "discriminator.0.weight",
        "optimizer.generator.moment1",
        "optimizer.discriminator.moment2",
        "report.discriminator",
        "fault",
    ] {
        assert!(names.contains(&name.to_string()), "{name} of {names:?}");
    }
}

#[test]
fn files_that_are_cut_short_are_refused() {
    let bytes = checkpoint().to_bytes();
    let short = read_error(&bytes[..bytes.len() - 10]);
    assert!(short.contains(&format!("found {} bytes", bytes.len() - 10)), "{short}");
    assert!(short.contains("cut short"), "{short}");
    assert!(read_error(&bytes[..100]).contains("cut short"));
    assert!(read_error(&[]).contains("found 0 bytes"));
}

#[test]
fn files_of_another_kind_are_refused() {
    assert!(read_error(b"\x89PNG\r\n\x1a\n and so on and on").contains("no safetensors"));
    let one = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let plain = safetensors::serialize([("x", one)], None).unwrap();
    assert!(read_error(&plain).contains("expected a checkpoint of a run"));
    let mut newer = checkpoint();
    newer.header.format = 7;
    assert!(read_error(&newer.to_bytes()).contains("of format 7"));
}

#[test]
fn numbers_that_are_none_are_refused_by_name() {
    for (value, shown) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut bad = checkpoint();
        let weights = bad.tensors.iter_mut().find(|t| t.name == "generator.0.weight").unwrap();
        weights.bytes[12..16].copy_from_slice(&value.to_le_bytes());
        let error = read_error(&bad.to_bytes());
        let expected = format!("tensor `generator.0.weight` holds {shown} at element 3");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn another_experiment_is_refused_by_its_first_difference() {
    let other = experiment(json!({"ema": 0.99, "seed": 3}));
    let error = refused(&checkpoint(), &other);
    assert!(error.contains("`ema` was 0.9 and is 0.99 now"), "{error}");
}

#[test]
fn another_program_is_refused() {
    let mut other = checkpoint();
    other.header.program = "0123456789abcdef".to_string();
    let error = refused(&other, &spec());
    assert!(error.contains("with program 0123456789abcdef"), "{error}");
}

#[test]
fn tensors_must_fit_one_by_one() {
    let fitting = checkpoint();
    let at = fitting.tensors.iter().position(|t| t.name == "discriminator.0.bias").unwrap();

    let mut missing = fitting.clone();
    missing.tensors.remove(at);
    let error = refused(&missing, &spec());
    assert!(error.contains("`discriminator.0.bias`: found nothing, expected f32 [6]"), "{error}");

    let mut reshaped = fitting.clone();
    reshaped.tensors[at].shape = vec![2, 3];
    let error = refused(&reshaped, &spec());
    assert!(error.contains("found f32 [2, 3], expected f32 [6]"), "{error}");

    let mut extra = fitting.clone();
    extra.tensors[at].name = "discriminator.0.bias".to_string();
    extra.tensors.push(Saved { name: "zebra".to_string(), shape: vec![1], bytes: vec![0; 4] });
    let error = refused(&extra, &spec());
    assert!(error.contains("`zebra`: found f32 [1], expected nothing"), "{error}");
}

/// What a full disk does: the write fails half way.
#[test]
fn a_failed_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    checkpoint().write(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = replace(&path, |side| {
        std::fs::write(side, &before[..1000])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    assert!(error.contains("is intact") && error.contains("make room"), "{error}");
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("a.safetensors");
    let error = checkpoint().write(&path).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}
