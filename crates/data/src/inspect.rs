//! What a split holds, in numbers.

use std::path::Path;

use crate::error::Result;
use crate::manifest::Manifest;
use crate::shards::Shards;

/// A split, described.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Rows, shape, classes and their counts, sources, importer, shards.
    pub manifest: Manifest,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Mean of each channel, of pixels in 0..=255.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub std: Vec<f64>,
}

/// Describes the split in the folder `dir`. Reads every pixel, and so checks every record batch.
///
/// # Errors
/// As [`Shards::open`] and [`Shards::image`].
pub fn inspect(dir: &Path) -> Result<Summary> {
    let shards = Shards::open(dir)?;
    let [h, w, c] = shards.shape();
    // Integers: exact, and 2^64 / 255^2 is 2.8e14 pixels away from overflow.
    let mut sums = vec![(0u64, 0u64); c];
    for i in 0..shards.len() {
        for pixel in shards.image(i)?.chunks_exact(c) {
            for ((sum, squares), &value) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(value);
                *squares += u64::from(value).pow(2);
            }
        }
    }
    let n = (shards.len() * h * w) as f64;
    let mean: Vec<f64> = sums.iter().map(|&(sum, _)| sum as f64 / n).collect();
    let std = sums
        .iter()
        .zip(&mean)
        .map(|(&(_, squares), m)| (squares as f64 / n - m * m).max(0.0).sqrt());
    Ok(Summary {
        bytes: shards.manifest().shards.iter().map(|s| s.bytes).sum(),
        std: std.collect(),
        mean,
        manifest: shards.manifest().clone(),
    })
}
