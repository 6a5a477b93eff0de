//! Whether a split is, bit for bit, what was imported.

use std::path::Path;

use crate::digest::sha256;
use crate::error::{Error, Result, bad};
use crate::manifest::Manifest;
use crate::shard::Shard;

/// What [`verify`] has looked at and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Shards hashed.
    pub shards: usize,
    /// Record batches checked.
    pub batches: usize,
    /// Bytes of the shards.
    pub bytes: u64,
    /// All that is wrong, shard by shard; empty for an intact split.
    pub problems: Vec<Error>,
}

/// Hashes every shard of the split in `dir` and checks every record batch. `progress` is told (bytes done,
/// bytes in all) after each shard.
///
/// # Errors
/// A manifest that cannot be read. What is wrong with shards is in the report, all of it.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    let manifest = Manifest::read(dir)?;
    let total = manifest.shards.iter().map(|s| s.bytes).sum();
    let mut report = Report::default();
    for (k, entry) in manifest.shards.iter().enumerate() {
        match Shard::open(dir, &manifest, k) {
            Ok(shard) => examine(&shard, &entry.sha256, &manifest, &mut report),
            Err(problem) => report.problems.push(problem),
        }
        report.bytes += entry.bytes;
        progress(report.bytes, total);
    }
    Ok(report)
}

fn examine(shard: &Shard, sha256_expected: &str, manifest: &Manifest, report: &mut Report) {
    report.shards += 1;
    let found = sha256(&shard.mapped.bytes);
    if found != sha256_expected {
        let (found, expected) = (format!("SHA-256 {found}"), sha256_expected);
        report.problems.push(bad(&shard.path, "whole file", found, expected, manifest.again()));
    }
    for b in 0..shard.mapped.blocks.len() {
        report.batches += 1;
        // Decoding checks the checksum first, then that the contents are what they claim.
        report.problems.extend(shard.decode(b).err());
    }
}
