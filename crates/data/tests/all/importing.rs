//! What an import accepts, refuses, and leaves on disk.

use std::fs;
use std::path::Path;

use data::import::idx;
use data::{Error, Shards};

use crate::sets;

#[test]
fn what_goes_in_comes_out() {
    let home = tempfile::tempdir().unwrap();
    let shards = Shards::open(&sets::split(home.path(), 21)).unwrap();
    assert_eq!((shards.len(), shards.shape()), (21, [3, 5, 1]));
    for i in 0..21 {
        let expected: Vec<u8> = (0..15).map(|p| sets::pixel(i, p)).collect();
        assert_eq!(shards.image(i).unwrap(), expected, "image {i}");
        assert_eq!(shards.label(i).unwrap(), (i % 3) as i32);
        assert_eq!(shards.key(i).unwrap(), format!("{i:08}"));
    }
    let m = shards.manifest();
    assert_eq!(m.class_counts, [7, 7, 7]);
    assert_eq!(
        m.shards.iter().map(|s| (s.rows, s.crc32.len())).collect::<Vec<_>>(),
        [(8, 2), (8, 2), (5, 2)]
    );
    assert_eq!(m.sources[0].file, "images-idx3-ubyte");
}

#[test]
fn the_same_files_gzipped_or_not_give_the_same_bytes() {
    let (plain, gzipped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = sets::split(plain.path(), 21);
    let from = sets::originals(
        gzipped.path(),
        &sets::gzip(&sets::images(21)),
        &sets::gzip(&sets::labels(21)),
    );
    let other = gzipped.path().join("other");
    idx(&from, &other, &mut |_, _| {}).unwrap();
    for file in ["manifest.json", "00000.arrow", "00001.arrow", "00002.arrow"] {
        assert_eq!(
            fs::read(out.join(file)).unwrap(),
            fs::read(other.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn progress_ends_at_the_number_of_images() {
    let home = tempfile::tempdir().unwrap();
    let from = sets::originals(home.path(), &sets::images(10), &sets::labels(10));
    let mut told = Vec::new();
    idx(&from, &home.path().join("out"), &mut |done, total| told.push((done, total))).unwrap();
    assert_eq!(told, [(4, 10), (8, 10), (10, 10)]);
}

/// The message for files of these contents; checks that nothing is left behind.
fn refusal(images: &[u8], labels: &[u8]) -> String {
    let home = tempfile::tempdir().unwrap();
    let from = sets::originals(home.path(), images, labels);
    let message =
        idx(&from, &home.path().join("sets/out"), &mut |_, _| {}).unwrap_err().to_string();
    let left = fs::read_dir(home.path().join("sets")).map(|d| d.count()).unwrap_or(0);
    assert_eq!(left, 0, "files left behind");
    assert!(message.contains("idx"), "{message}");
    message
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn damaged_originals_are_refused_by_place() {
    let (images, labels) = (sets::images(6), sets::labels(6));
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    says(
        &refusal(&labels, &labels),
        &["images-idx3-ubyte", "magic number", "found 0x00000801", "expected 0x00000803"],
    );
    says(&refusal(&images, &images), &["labels-idx1-ubyte", "magic number", "found 0x00000803"]);
    says(&refusal(b"<html>", &labels), &["images-idx3-ubyte", "magic number", "found 0x3c68746d"]);
    says(&refusal(&images[..7], &labels), &["images-idx3-ubyte", "header, sizes", "after"]);
    says(
        &refusal(&images, &sets::labels(5)),
        &["labels-idx1-ubyte", "count", "found 5", "expected 6"],
    );
    says(
        &refusal(&images[..images.len() - 1], &labels),
        &["images-idx3-ubyte", "row 5 of 6", "end of the file"],
    );
    says(
        &refusal(&images, &labels[..labels.len() - 2]),
        &["labels-idx1-ubyte", "row 4 of 6", "end of the file"],
    );
    says(
        &refusal(&[&images[..], &[0]].concat(), &labels),
        &["images-idx3-ubyte", "length", "found more", "106 bytes"],
    );
    says(&refusal(&with(&images, 8, 0x7f), &labels), &["header, height", "1 to 4096"]);
    says(&refusal(&with(&images, 15, 0), &labels), &["header, width", "found 0"]);
    says(&refusal(&sets::images(0), &sets::labels(0)), &["count", "found 0", "at least one image"]);
    let gz = sets::gzip(&images);
    says(&refusal(&gz[..gz.len() / 2], &labels), &["images-idx3-ubyte"]);
}

#[test]
fn a_label_without_a_class_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut from = sets::originals(home.path(), &sets::images(6), &sets::labels(6));
    from.classes = vec!["a".into(), "b".into()];
    let message = idx(&from, &home.path().join("out"), &mut |_, _| {}).unwrap_err().to_string();
    says(&message, &["image 00000002", "label 2", "0 to 1", "classes"]);
}

#[test]
fn images_of_another_shape_than_the_recipe_says_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut from = sets::originals(home.path(), &sets::images(6), &sets::labels(6));
    from.image = Some([5, 3, 1]);
    let message = idx(&from, &home.path().join("out"), &mut |_, _| {}).unwrap_err().to_string();
    says(
        &message,
        &["images-idx3-ubyte", "found [3, 5, 1]", "expected [5, 3, 1]", "`image` of the recipe"],
    );
}

#[test]
fn a_missing_original_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut from = sets::originals(home.path(), &sets::images(6), &sets::labels(6));
    from.labels = home.path().join("nowhere");
    let error = idx(&from, &home.path().join("out"), &mut |_, _| {}).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("nowhere")), "{error}");
}

#[test]
fn nothing_is_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let out = sets::split(home.path(), 6);
    let before = fs::read(out.join("00000.arrow")).unwrap();
    let from = sets::originals(home.path(), &sets::images(9), &sets::labels(9));
    let error = idx(&from, &out, &mut |_, _| {}).unwrap_err();
    assert!(matches!(&error, Error::Exists(path) if path == Path::new(&out)), "{error}");
    assert_eq!(fs::read(out.join("00000.arrow")).unwrap(), before);
}
