//! Data sets made for tests: a few tiny images, written by the importer itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use data::import::{Idx, idx};

/// Height and width of the images: unequal, so that a transposition shows.
pub const SIDES: [usize; 2] = [3, 5];

/// Pixel `p` of image `i`: differs between images and is not symmetric.
pub fn pixel(i: usize, p: usize) -> u8 {
    (i * 37 + p * 11 + i / 7) as u8
}

/// The bytes of an IDX file of images.
pub fn images(rows: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    for size in [rows, SIDES[0], SIDES[1]] {
        bytes.extend((size as u32).to_be_bytes());
    }
    bytes.extend((0..rows).flat_map(|i| (0..SIDES[0] * SIDES[1]).map(move |p| pixel(i, p))));
    bytes
}

/// The bytes of an IDX file of labels: 0, 1, 2, 0, …
pub fn labels(rows: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend((rows as u32).to_be_bytes());
    bytes.extend((0..rows).map(|i| (i % 3) as u8));
    bytes
}

/// `bytes`, gzipped.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What to import from files of these contents: shards of 8 rows, record batches of 4.
pub fn originals(home: &Path, images: &[u8], labels: &[u8]) -> Idx {
    let (i, l) = (home.join("images-idx3-ubyte"), home.join("labels-idx1-ubyte"));
    fs::write(&i, images).unwrap();
    fs::write(&l, labels).unwrap();
    Idx { rows_per_shard: 8, rows_per_batch: 4, ..Idx::new("toy", "train", &i, &l) }
}

/// A split of `rows` images in `home`, on disk.
pub fn split(home: &Path, rows: usize) -> PathBuf {
    let out = home.join("toy/train");
    idx(&originals(home, &images(rows), &labels(rows)), &out, &mut |_, _| {}).unwrap();
    out
}
