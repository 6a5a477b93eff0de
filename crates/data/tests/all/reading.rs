//! What opening, touching, inspecting and verifying say about damage.

use std::fs;
use std::path::Path;

use data::manifest::Manifest;
use data::{Shards, inspect, verify};

use crate::sets;

/// The message of opening `dir`, which must contain all `parts`.
#[track_caller]
fn does_not_open(dir: &Path, parts: &[&str]) {
    let message = Shards::open(dir).err().expect("it opened").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

/// Rewrites the manifest of the split in `dir`.
fn edit(dir: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::read(dir).unwrap();
    change(&mut manifest);
    fs::write(dir.join("manifest.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
}

/// Inverts one bit of a pixel of the last image of shard `k`, which is found by its content.
fn flip_a_bit(dir: &Path, k: usize, row: usize) {
    let path = dir.join(format!("{k:05}.arrow"));
    let mut bytes = fs::read(&path).unwrap();
    let image: Vec<u8> = (0..15).map(|p| sets::pixel(row, p)).collect();
    let at = bytes.windows(15).position(|w| w == image).unwrap();
    bytes[at + 14] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn what_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    does_not_open(
        &home.path().join("toy/train"),
        &["toy/train", "no such folder", "duel data import toy"],
    );
    let dir = sets::split(home.path(), 21);
    fs::rename(dir.join("00001.arrow"), dir.join("away")).unwrap();
    does_not_open(&dir, &["00001.arrow", "no such file", "shard 1 of 3", "duel data import toy"]);
    fs::remove_file(dir.join("manifest.json")).unwrap();
    does_not_open(&dir, &["manifest.json", "no such file", "duel data import toy"]);
}

#[test]
fn a_short_shard_does_not_open() {
    let home = tempfile::tempdir().unwrap();
    let dir = sets::split(home.path(), 21);
    let path = dir.join("00002.arrow");
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 64).unwrap();
    does_not_open(
        &dir,
        &[
            "00002.arrow",
            "length",
            &format!("found {} bytes", length - 64),
            &format!("expected {length} bytes"),
        ],
    );
}

#[test]
fn an_empty_or_foreign_shard_does_not_open() {
    let home = tempfile::tempdir().unwrap();
    let dir = sets::split(home.path(), 6);
    for content in [
        vec![],
        vec![7; 5],
        vec![7; 500],
        [vec![7; 500], vec![255, 255, 255, 127], b"ARROW1".to_vec()].concat(),
    ] {
        fs::write(dir.join("00000.arrow"), &content).unwrap();
        edit(&dir, |m| m.shards[0].bytes = content.len() as u64);
        does_not_open(&dir, &["00000.arrow", "duel data import toy"]);
    }
}

#[test]
fn a_flipped_bit_is_found_when_its_batch_is_touched() {
    let home = tempfile::tempdir().unwrap();
    let dir = sets::split(home.path(), 21);
    flip_a_bit(&dir, 1, 15);
    let shards = Shards::open(&dir).unwrap();
    for i in (0..12).chain(16..21) {
        shards.image(i).unwrap();
    }
    for i in 12..16 {
        let message = shards.image(i).unwrap_err().to_string();
        for part in ["00001.arrow", "record batch 1", "CRC-32", "duel data verify toy"] {
            assert!(message.contains(part), "`{part}` is missing in: {message}");
        }
    }
    assert!(shards.label(12).is_err());
    assert!(inspect(&dir).unwrap_err().to_string().contains("record batch 1"));
}

#[test]
fn verify_lists_all_damage() {
    let home = tempfile::tempdir().unwrap();
    let dir = sets::split(home.path(), 21);
    let mut told = Vec::new();
    let report = verify(&dir, &mut |done, total| told.push((done, total))).unwrap();
    assert_eq!((report.shards, report.batches, report.problems.len()), (3, 6, 0));
    assert_eq!((told.len(), told[2].0), (3, told[2].1));

    flip_a_bit(&dir, 0, 2);
    fs::remove_file(dir.join("00001.arrow")).unwrap();
    // A byte of the last shard's padding between the magic number and the schema: no batch covers it.
    let mut bytes = fs::read(dir.join("00002.arrow")).unwrap();
    bytes[7] ^= 1;
    fs::write(dir.join("00002.arrow"), bytes).unwrap();
    let report = verify(&dir, &mut |_, _| {}).unwrap();
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    let expected = [
        "00000.arrow: whole file",
        "00000.arrow: record batch 0",
        "00001.arrow: shard",
        "00002.arrow: whole file",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, part) in problems.iter().zip(expected) {
        assert!(problem.contains(part), "`{part}` is missing in: {problem}");
    }
}

#[test]
fn manifest_and_shards_must_agree() {
    let home = tempfile::tempdir().unwrap();
    let dir = sets::split(home.path(), 21);
    let good = fs::read(dir.join("manifest.json")).unwrap();
    type Case = (fn(&mut Manifest), &'static [&'static str]);
    let cases: [Case; 9] = [
        (
            |m| m.shape = [5, 3, 1],
            &["00000.arrow", "shape of column `image`", "found [3, 5, 1]", "expected [5, 3, 1]"],
        ),
        (|m| m.format = 2, &["manifest.json", "format", "found 2", "expected 1"]),
        (|m| m.rows = 22, &["manifest.json", "shards[2].rows", "found 5", "expected 6"]),
        (|m| m.rows = 0, &["manifest.json", "rows", "at least one image"]),
        (|m| m.shape = [usize::MAX, 2, 2], &["manifest.json", "shape"]),
        (|m| m.rows_per_batch = 3, &["manifest.json", "rows_per_shard", "multiple"]),
        (|m| m.class_counts[0] = 1, &["manifest.json", "class_counts", "a sum of 15", "21 rows"]),
        (|m| m.shards[1].file = "../x".into(), &["manifest.json", "shards[1].file", "../x"]),
        (|m| m.shards.truncate(2), &["manifest.json", "shards", "found 2", "expected 3"]),
    ];
    for (change, parts) in cases {
        fs::write(dir.join("manifest.json"), &good).unwrap();
        edit(&dir, change);
        does_not_open(&dir, parts);
    }
    fs::write(dir.join("manifest.json"), "{\n  \"format\": 1,\n").unwrap();
    does_not_open(&dir, &["manifest.json", "line 3", "duel data import toy"]);
}

#[test]
fn a_row_past_the_end_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let shards = Shards::open(&sets::split(home.path(), 21)).unwrap();
    assert!(shards.image(21).unwrap_err().to_string().contains("less than 21"));
}

#[test]
fn the_summary_holds_exact_moments() {
    let home = tempfile::tempdir().unwrap();
    let summary = inspect(&sets::split(home.path(), 21)).unwrap();
    let pixels: Vec<f64> =
        (0..21).flat_map(|i| (0..15).map(move |p| f64::from(sets::pixel(i, p)))).collect();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let variance = pixels.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
    // E[x^2] - E[x]^2 in doubles: a few ulp of 255^2.
    assert!(
        (summary.mean[0] - mean).abs() < 1e-11 && (summary.std[0] - variance.sqrt()).abs() < 1e-11
    );
    assert_eq!(summary.manifest.rows, 21);
}
