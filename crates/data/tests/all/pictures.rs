//! Folders of pictures: what comes out, what is refused, what a kill leaves.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use data::import::{OnError, Pictures, folder};
use data::{Manifest, Shards, verify};
use image::{ImageFormat, RgbImage};

/// A picture that is not symmetric, as PNG.
fn png(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| [x * 7 + seed, y * 13 + seed * 3, x * y + seed * 11];
    let picture = RgbImage::from_fn(width, height, |x, y| image::Rgb(pixel(x, y).map(|v| v as u8)));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A folder of two classes with `count` pictures.
fn originals(home: &Path, count: u32) -> PathBuf {
    let path = home.join("originals");
    for i in 0..count {
        let class = path.join(["cat", "dog"][(i * 2 / count) as usize]);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{i:03}.png")), png(9, 7, i)).unwrap();
    }
    path
}

/// Shards of 8 rows, record batches of 4.
fn about(threads: usize) -> Pictures {
    let threads = NonZeroUsize::new(threads).unwrap();
    Pictures { threads, rows_per_shard: 8, rows_per_batch: 4, ..Pictures::new("pets", Some(5)) }
}

fn import(from: &Path, about: &Pictures, out: &Path) -> Result<Manifest, String> {
    folder(from, about, out, &mut |_, _| {}).map_err(|e| e.to_string())
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[test]
fn rows_are_the_pictures_in_order_for_any_number_of_threads() {
    let home = tempfile::tempdir().unwrap();
    let from = originals(home.path(), 21);
    let outs = [1, 2, 3].map(|threads| {
        let out = home.path().join(format!("{threads}/train"));
        let manifest = import(&from, &about(threads), &out).unwrap();
        assert_eq!(manifest.class_counts, [11, 10]);
        assert!(manifest.resize.unwrap().contains("bilinear"));
        out
    });
    let one = files(&outs[0]);
    assert_eq!(one.len(), 4, "three shards and a manifest");
    assert!(outs.iter().all(|out| files(out) == one));
    assert!(verify(&outs[0], &mut |_, _| {}).unwrap().problems.is_empty());
    let shards = Shards::open(&outs[0]).unwrap();
    assert_eq!((shards.key(0).unwrap(), shards.key(20).unwrap()), ("cat/000.png", "dog/020.png"));
    assert_eq!((shards.label(10).unwrap(), shards.label(11).unwrap()), (0, 1));
    // Without a size the pixels are the picture's own.
    let whole = Pictures { size: None, ..about(2) };
    let out = home.path().join("whole/train");
    import(&from, &whole, &out).unwrap();
    let shards = Shards::open(&out).unwrap();
    assert_eq!(shards.shape(), [7, 9, 3]);
    let expected = image::load_from_memory(&png(9, 7, 13)).unwrap().into_rgb8().into_raw();
    assert_eq!(shards.image(13).unwrap(), expected);
}

/// The square in the middle, and nothing else, decides.
#[test]
fn what_is_cut_off_leaves_no_trace() {
    let home = tempfile::tempdir().unwrap();
    let square = RgbImage::from_fn(12, 12, |x, y| image::Rgb([x as u8 * 20, y as u8 * 20, 90]));
    for (name, width, left) in [("a", 12, 0), ("b", 19, 3)] {
        let mut wide = RgbImage::from_pixel(width, 12, image::Rgb([255, 0, 255]));
        image::imageops::replace(&mut wide, &square, left, 0);
        let path = home.path().join(name);
        fs::create_dir(&path).unwrap();
        wide.save(path.join("x.png")).unwrap();
    }
    let [a, b] = ["a", "b"].map(|name| {
        let out = home.path().join(name).join("out/train");
        import(&home.path().join(name), &about(1), &out).unwrap();
        Shards::open(&out).unwrap().image(0).unwrap().to_vec()
    });
    assert_eq!(a, b);
}

/// A kill leaves what lies on the disk at that moment; going on from any such moment ends in the same bytes.
#[test]
fn an_import_goes_on_after_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let from = originals(home.path(), 30);
    fs::write(from.join("cat/003.png"), b"no picture").unwrap();
    let about = Pictures { on_error: OnError::Skip, ..about(2) };
    let whole = home.path().join("whole/train");
    import(&from, &about, &whole).unwrap();
    let expected = files(&whole);
    assert!(String::from_utf8_lossy(&expected["skipped.txt"]).starts_with("cat/003.png\tfound "));

    for kill_at in [2, 11, 19, 29] {
        let out = home.path().join(format!("{kill_at}/train"));
        let left = home.path().join(format!("{kill_at}/.unfinished-train"));
        let moment = home.path().join(format!("moment-{kill_at}"));
        folder(&from, &about, &out, &mut |done, _| {
            if done == kill_at {
                copy(&left, &moment);
            }
        })
        .unwrap();
        assert!(!left.exists());
        fs::remove_dir_all(&out).unwrap();
        fs::rename(&moment, &left).unwrap();
        let mut first = None;
        folder(&from, &about, &out, &mut |done, _| {
            first.get_or_insert(done);
        })
        .unwrap();
        // One of the first eight was skipped, so the first shard ends with the ninth.
        let begun = [0, 9, 17, 25].into_iter().rfind(|&end| end <= kill_at);
        assert_eq!(first, begun, "killed at {kill_at}");
        assert!(files(&out) == expected, "killed at {kill_at}");
        assert!(!left.exists());
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &to) } else { fs::copy(&entry, &to).map(drop).unwrap() }
    }
}

#[test]
fn a_bad_picture_ends_the_import_and_whole_shards_stay() {
    let home = tempfile::tempdir().unwrap();
    let from = originals(home.path(), 20);
    fs::write(from.join("dog/015.png"), &png(9, 7, 15)[..60]).unwrap();
    let out = home.path().join("pets/train");
    let message = import(&from, &about(2), &out).unwrap_err();
    for part in
        ["picture dog/015.png", "a PNG that cannot be decoded", "--on-error skip, which goes on"]
    {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    // Another source must not go on there.
    let other = originals(&home.path().join("other"), 20);
    let message = import(&other, &about(2), &out).unwrap_err();
    assert!(message.contains("another source or other settings"), "{message}");
    let skip = Pictures { on_error: OnError::Skip, ..about(2) };
    let mut first = None;
    let manifest = folder(&from, &skip, &out, &mut |done, _| {
        first.get_or_insert(done);
    });
    assert_eq!((first, manifest.unwrap().skipped), (Some(8), 1));
}

#[test]
fn folders_that_hold_nothing_to_import() {
    let home = tempfile::tempdir().unwrap();
    let from = home.path().join("from");
    let out = home.path().join("set/train");
    let refused = |expected: &str| {
        let message = import(&from, &about(1), &out).unwrap_err();
        assert!(message.contains(expected), "no `{expected}` in: {message}");
        assert!(!out.exists() && !home.path().join("set/.unfinished-train").exists(), "{message}");
    };
    refused("cannot read the folder");
    fs::write(&from, b"a file").unwrap();
    refused("cannot read the folder");
    fs::remove_file(&from).unwrap();
    fs::create_dir(&from).unwrap();
    refused("found no pictures at all, expected at least one PNG, JPEG or WebP");
    fs::write(from.join("empty.png"), b"").unwrap();
    refused("picture empty.png: found nothing: it is empty, expected a PNG, JPEG or WebP");
    fs::create_dir(from.join("class")).unwrap();
    refused("found `empty.png` beside folders");
}
