//! `manifest.json`: what a split holds and what its shards must look like.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::aside::write_synced;
use crate::error::{Result, bad, io_error};

/// The version of the format that this crate writes, and the only one it reads.
pub const FORMAT: u32 = 1;

/// The manifest's name in the folder of a split.
pub const FILE: &str = "manifest.json";

/// A split of a data set on disk.
///
/// Every shard but the last holds `rows_per_shard` rows, every record batch but the last of the last
/// shard `rows_per_batch`, so that the place of a row is a division and not a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The data set, as its recipe is called.
    pub name: String,
    /// The split: `train`, `test`.
    pub split: String,
    /// Number of images.
    pub rows: usize,
    /// Height, width and channels of every image.
    pub shape: [usize; 3],
    /// Rows of every shard but the last; a multiple of `rows_per_batch`.
    pub rows_per_shard: usize,
    /// Rows of every record batch but the very last.
    pub rows_per_batch: usize,
    /// What read the originals: `idx`, `members`, `lsun`, `folder`.
    pub importer: String,
    /// The filter that resized the images, if one did.
    pub resize: Option<String>,
    /// Number of pictures that could not be used; `skipped.txt` lists them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// The originals.
    pub sources: Vec<Original>,
    /// Names of the classes in the order of the labels; empty where unknown.
    pub classes: Vec<String>,
    /// Number of images of each label.
    pub class_counts: Vec<usize>,
    /// The Arrow files in order.
    pub shards: Vec<ShardEntry>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A file that a split was imported from, or a collection of pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Original {
    /// Its name without the folder and without `.gz`.
    pub file: String,
    /// SHA-256 of its uncompressed content. Of a collection of pictures it is the end of a chain that begins with
    /// the empty text: h ← SHA-256(h in hexadecimal ‖ SHA-256(key ‖ 0 ‖ content)), picture after picture.
    pub sha256: String,
}

/// An Arrow file of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Its name in the folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows.
    pub rows: usize,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// CRC-32 of each record batch: its metadata and its body, as the footer delimits them.
    pub crc32: Vec<u32>,
}

impl Manifest {
    /// Reads and checks the manifest in the folder `dir`. Shards are not opened.
    ///
    /// # Errors
    /// No folder, no manifest, JSON that is not a manifest, another format, counts that do not add up.
    pub fn read(dir: &Path) -> Result<Manifest> {
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound if !dir.is_dir() => bad(
                dir,
                "data set",
                "no such folder",
                format!("a folder with {FILE}"),
                import(guess(dir)),
            ),
            ErrorKind::NotFound => {
                bad(dir, FILE, "no such file", "the manifest of a data set", import(guess(dir)))
            }
            _ => io_error(&path, "read")(source),
        })?;
        // The version decides how the rest is to be read, so it is looked at first and alone.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let not_json = |e: serde_json::Error| {
            let place = format!("line {} column {}", e.line(), e.column());
            bad(&path, place, e, "a manifest as the importer writes it", import(guess(dir)))
        };
        let version: Version = serde_json::from_str(&text).map_err(not_json)?;
        if version.format != FORMAT {
            return Err(bad(&path, "format", version.format, FORMAT, import(guess(dir))));
        }
        let manifest: Manifest = serde_json::from_str(&text).map_err(not_json)?;
        manifest.check(&path)?;
        Ok(manifest)
    }

    /// Writes the manifest into the folder `dir`, which has none, and syncs it.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        self.check(&path)?;
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|e| io_error(&path, "encode")(e.into()))?;
        text.push(b'\n');
        write_synced(&path, &text)
    }

    /// Bytes of one image.
    pub fn image_bytes(&self) -> usize {
        self.shape.iter().product()
    }

    /// The fix that most errors have: import again.
    pub(crate) fn again(&self) -> String {
        import(&self.name)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let wrong = |place: &str, found: String, expected: String| -> Result<()> {
            Err(bad(path, place, found, expected, self.again()))
        };
        if self.rows == 0 {
            return wrong("rows", "0".into(), "at least one image".into());
        }
        let pixels = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if !pixels.is_some_and(|n| (1..=i32::MAX as usize).contains(&n)) {
            return wrong(
                "shape",
                format!("{:?}", self.shape),
                "positive [height, width, channels]".into(),
            );
        }
        if self.rows_per_batch == 0
            || self.rows_per_shard == 0
            || !self.rows_per_shard.is_multiple_of(self.rows_per_batch)
        {
            return wrong(
                "rows_per_shard",
                format!("{} with {} rows per batch", self.rows_per_shard, self.rows_per_batch),
                "a positive multiple of rows_per_batch".into(),
            );
        }
        let shards = self.rows.div_ceil(self.rows_per_shard);
        if self.shards.len() != shards {
            return wrong(
                "shards",
                self.shards.len().to_string(),
                format!("{shards} for {} rows", self.rows),
            );
        }
        for (k, shard) in self.shards.iter().enumerate() {
            let rows = self.rows_per_shard.min(self.rows - k * self.rows_per_shard);
            if shard.rows != rows {
                return wrong(
                    &format!("shards[{k}].rows"),
                    shard.rows.to_string(),
                    rows.to_string(),
                );
            }
            let batches = rows.div_ceil(self.rows_per_batch);
            if shard.crc32.len() != batches {
                return wrong(
                    &format!("shards[{k}].crc32"),
                    shard.crc32.len().to_string(),
                    format!("{batches} checksums"),
                );
            }
            if shard.file.is_empty() || shard.file.contains(['/', '\\']) {
                return wrong(
                    &format!("shards[{k}].file"),
                    format!("{:?}", shard.file),
                    "a name without a folder".into(),
                );
            }
        }
        let counted: usize = self.class_counts.iter().sum();
        if counted != self.rows {
            return wrong(
                "class_counts",
                format!("a sum of {counted}"),
                format!("{} rows", self.rows),
            );
        }
        Ok(())
    }
}

/// `duel data import NAME`, as a fix.
pub(crate) fn import(name: &str) -> String {
    format!("delete the folder if it is there and run `duel data import {name}` again")
}

/// The name of the data set of a folder `…/<name>/<split>` whose manifest cannot be asked.
fn guess(dir: &Path) -> &str {
    let parent = dir.parent().and_then(Path::file_name).or(dir.file_name());
    parent.and_then(|n| n.to_str()).unwrap_or("NAME")
}
