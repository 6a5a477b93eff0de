//! Data sets that are missing, damaged, or cannot be had.

use super::DUEL;
use std::fs;
use std::path::PathBuf;
use tests::duel::Place;

/// A shard of the data set, the second of four.
const SHARD: &str = "datasets/tiny/train/00001.arrow";

/// Changes one byte of a file.
fn flip(place: &Place, file: &str, at: usize) {
    let mut bytes = place.read(file);
    bytes[at] ^= 1;
    place.write(file, bytes);
}

/// Training is refused before a run begins.
#[track_caller]
fn refused(place: &Place) -> String {
    let before = place.everything();
    let message = place.duel("train dcgan.yaml --out run").refused();
    assert!(place.everything() == before, "something was written");
    message
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn a_data_set_that_is_missing() {
    let place = Place::furnished(DUEL);
    fs::remove_dir_all(place.path("datasets")).expect("a folder");
    let fetch = "`duel data fetch tiny`";
    says(&refused(&place), &["datasets/tiny/train: ", "no such folder", fetch]);
    let message = place.duel("data inspect datasets/tiny/train").refused();
    says(&message, &["datasets/tiny/train: ", "no such folder", "`duel data import tiny`"]);
    let message = place.duel("data prepare dcgan.yaml").refused();
    says(&message, &["no recipe `tiny`", "experiments/datasets/tiny.yaml"]);
}

#[test]
fn shards_that_are_missing_short_or_of_another_shape() {
    let place = Place::furnished(DUEL);
    let whole = place.read(SHARD);
    let again = "delete the folder if it is there and run `duel data import tiny` again";

    fs::remove_file(place.path(SHARD)).expect("a file");
    says(&refused(&place), &[SHARD, "found no such file, expected shard 1 of 4", again]);

    place.write(SHARD, &whole[..whole.len() - 7]);
    let lengths = format!("found {} bytes, expected {} bytes", whole.len() - 7, whole.len());
    says(&refused(&place), &[SHARD, &lengths, again]);
    place.write(SHARD, &whole);

    let manifest = "datasets/tiny/train/manifest.json";
    let text = place.text(manifest);
    let squares = "\"shape\": [\n    12,\n    12,\n    1\n  ]";
    place.write(manifest, text.replace(squares, "\"shape\": [6, 24, 1]"));
    let shapes = "found [12, 12, 1], expected [6, 24, 1] as in the manifest";
    says(&refused(&place), &["00000.arrow", "shape of column `image`", shapes, again]);

    place.write(manifest, text.replace("\"rows\": 200", "\"rows\": 300"));
    says(&refused(&place), &[manifest, "found 4, expected 5 for 300 rows", again]);

    place.write(manifest, text.replace("\"rows\": 200,", "\"rows\": 200"));
    says(&refused(&place), &[manifest, "line ", again]);
}

/// A bit that changed is found when its record batch is first touched: in training, by `inspect` and
/// by `verify`.
#[test]
fn a_flipped_bit() {
    let place = Place::furnished(DUEL);
    // Without the first epoch's luck: a run that shows every image.
    let at = place.read(SHARD).len() / 2;
    flip(&place, SHARD, at);
    let crc = [SHARD, "record batch", "found CRC-32 ", "expected ", "`duel data verify tiny`"];
    let message = place.duel("train dcgan.yaml --out run").refused();
    says(&message, &crc);
    says(&message, &["no samples after "]);
    says(&place.duel("data inspect datasets/tiny/train").refused(), &crc);
    // What was reached before stays, and the run goes on once the data is whole again.
    flip(&place, SHARD, at);
    place.duel("resume run").fine();
    place.duel("train dcgan.yaml --out whole").fine();
    assert_eq!(place.metrics("run"), place.metrics("whole"));
}

#[test]
fn verify_lists_all_damage() {
    let place = Place::furnished(DUEL);
    let words = "data verify datasets/tiny/train";
    let intact = place.duel(words).fine();
    says(&intact, &["datasets/tiny/train: intact, 4 shards, 7 batches, "]);
    let at = place.read(SHARD).len() / 2;
    flip(&place, SHARD, at);
    fs::remove_file(place.path("datasets/tiny/train/00003.arrow")).expect("a file");
    let before = place.everything();
    let message = place.duel(words).refused();
    says(&message, &[SHARD, "whole file: found SHA-256 ", "record batch 1: found CRC-32 "]);
    says(&message, &["00003.arrow", "no such file"]);
    assert_eq!(message.lines().count(), 3, "{message}");
    assert!(place.everything() == before);
}

/// A recipe with one file of four bytes, and every kind of source.
const RECIPE: &str = "
name: little
licence: none
description: One file.
image: [1, 1, 1]
importer: idx
splits: {train: {images: a, labels: b}}
files:
  a: {bytes: 4, sha256: 88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589}
  b: {bytes: 4, sha256: 88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589}
sources:
  - https: {at: \"https://localhost/{file}.gz\"}
  - apt: {package: dataset-little, at: \"usr/{file}\"}
  - npm: {package: little@1.0.0, at: \"package/{file}\"}
";

/// A folder with programs that all fail with the same words, instead of the network.
fn no_network(place: &Place) -> PathBuf {
    for tool in ["curl", "apt-get", "npm", "dpkg-deb"] {
        let name = format!("bin/{tool}");
        place.write(&name, "#!/bin/sh\necho could not resolve host >&2\nexit 6\n");
        use std::os::unix::fs::PermissionsExt;
        let runs = fs::Permissions::from_mode(0o755);
        fs::set_permissions(place.path(&name), runs).expect("our file");
    }
    place.path("bin")
}

#[test]
fn files_that_cannot_be_had() {
    let place = Place::new(DUEL);
    place.write("little.yaml", RECIPE);
    let sources = ["https://localhost/a.gz: ", "apt", "dataset-little", "npm", "little@1.0.0"];
    let by_hand = "put a, b into datasets/.cache/little, gzipped with the suffix .gz or not";
    for (path, reason) in [
        (no_network(&place), "could not resolve host"),
        (place.path("nowhere"), "`curl` is not installed"),
    ] {
        let mut command = place.command("data fetch little.yaml");
        let output = command.env("PATH", path).output().expect("the binary starts");
        let message = tests::duel::Said::of(output).refused();
        says(&message, &["recipe `little`: no source delivered a, b", reason, by_hand]);
        says(&message, &sources);
    }
    // No file, and nothing that was on its way.
    let left: Vec<String> = place.files("datasets/.cache/little").into_keys().collect();
    let fetched = |name: &String| ["a", "b"].contains(&name.as_str()) || name.starts_with(".fetch");
    assert!(!left.iter().any(fetched), "{left:?}");
}

/// A file that was placed by hand is checked like any other, and never taken for the right one.
#[test]
fn files_with_another_content() {
    let place = Place::new(DUEL);
    place.write("little.yaml", RECIPE);
    place.write("datasets/.cache/little/a", "abcd");
    place.write("datasets/.cache/little/b", "abce");
    let mut command = place.command("data import little.yaml");
    let output = command.env("PATH", no_network(&place)).output().expect("the binary starts");
    let message = tests::duel::Said::of(output).refused();
    says(&message, &["no source delivered b", "datasets/.cache/little/b: found SHA-256 "]);
    says(&message, &["expected 88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589"]);
    assert_eq!(place.read("datasets/.cache/little/b"), b"abce");
    assert!(!place.path("datasets/little").exists());

    // Right by its checksum, and still no data set.
    place.write("datasets/.cache/little/b", "abcd");
    let message = place.duel("data import little.yaml").refused();
    says(&message, &["datasets/.cache/little/a: header, magic number: found 0x61626364"]);
    assert!(!place.path("datasets/little/train").exists());
}
