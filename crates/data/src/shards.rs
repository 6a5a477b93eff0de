//! A split as a whole: rows by number, each record batch checked when it is first touched.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Result, bad};
use crate::manifest::Manifest;
use crate::shard::{Batch, Shard};

/// A split of a data set, memory-mapped. Nothing is copied, and any number of threads may read.
///
/// Opening checks that all files are there with the lengths, the schema and the number of record batches
/// of the manifest; it reads footers only. The first touch of a record batch checks its CRC-32 and decodes
/// it. Hashes of whole files are left to [`verify`](crate::verify()).
///
/// A map is a promise that the file stays as it is. If another program cuts a shard short while it is
/// mapped, the system ends this process with SIGBUS; no library can turn that into an error. Data sets are
/// therefore never changed in place: delete the folder and import again.
pub struct Shards {
    dir: PathBuf,
    manifest: Manifest,
    shards: Vec<Shard>,
    /// One for each record batch of the split, filled at its first touch.
    batches: Vec<OnceLock<Batch>>,
}

impl Shards {
    /// Opens the split in the folder `dir`.
    ///
    /// # Errors
    /// A missing folder, manifest or shard; a shard of another length, schema or image shape than the
    /// manifest says; a manifest that contradicts itself.
    pub fn open(dir: &Path) -> Result<Shards> {
        let manifest = Manifest::read(dir)?;
        let shards = (0..manifest.shards.len())
            .map(|k| Shard::open(dir, &manifest, k))
            .collect::<Result<Vec<_>>>()?;
        let batches = manifest.rows.div_ceil(manifest.rows_per_batch);
        let batches = std::iter::repeat_with(OnceLock::new).take(batches).collect();
        tracing::debug!(dir = %dir.display(), rows = manifest.rows, shards = shards.len(), "opened");
        Ok(Shards { dir: dir.to_owned(), manifest, shards, batches })
    }

    /// Number of images; at least one.
    #[allow(clippy::len_without_is_empty, reason = "a split without images does not open")]
    pub fn len(&self) -> usize {
        self.manifest.rows
    }

    /// Height, width and channels of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.manifest.shape
    }

    /// What is known about the split.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Image `i`: uint8, height × width × channels, in the mapped file.
    ///
    /// # Errors
    /// `i` past the end, or a record batch whose checksum is wrong.
    pub fn image(&self, i: usize) -> Result<&[u8]> {
        let (batch, row) = self.batch(i)?;
        let bytes = self.manifest.image_bytes();
        Ok(&batch.images[row * bytes..][..bytes])
    }

    /// The class of image `i`. Errors as [`image`](Self::image).
    pub fn label(&self, i: usize) -> Result<i32> {
        let (batch, row) = self.batch(i)?;
        Ok(batch.labels[row])
    }

    /// Where image `i` was in the original. Errors as [`image`](Self::image).
    pub fn key(&self, i: usize) -> Result<&str> {
        let (batch, row) = self.batch(i)?;
        Ok(batch.keys.value(row))
    }

    /// The record batch that holds row `i`, and the row in it.
    fn batch(&self, i: usize) -> Result<(&Batch, usize)> {
        let m = &self.manifest;
        if i >= m.rows {
            let fix = "ask for a row of this split";
            return Err(bad(&self.dir, "row", i, format!("less than {}", m.rows), fix));
        }
        let (b, row) = (i / m.rows_per_batch, i % m.rows_per_batch);
        if let Some(batch) = self.batches[b].get() {
            return Ok((batch, row));
        }
        let per_shard = m.rows_per_shard / m.rows_per_batch;
        let decoded = self.shards[b / per_shard].decode(b % per_shard)?;
        // Two threads may both have decoded it; they decoded the same.
        Ok((self.batches[b].get_or_init(|| decoded), row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::{Description, Writer};

    #[test]
    fn images_lie_in_the_map() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("set/train");
        let about = Description {
            rows_per_shard: 8,
            rows_per_batch: 4,
            ..Description::new("set", "train", "test", [3, 5, 1])
        };
        let mut writer = Writer::create(&out, about).unwrap();
        for i in 0..21u8 {
            writer.push(&[i; 15], i32::from(i % 3), &i.to_string()).unwrap();
        }
        writer.finish(vec![]).unwrap();
        let shards = Shards::open(&out).unwrap();
        for i in 0..21 {
            let image = shards.image(i).unwrap().as_ptr_range();
            let map = shards.shards[i / 8].mapped.bytes.as_slice().as_ptr_range();
            assert!(map.start <= image.start && image.end <= map.end, "image {i} was copied");
        }
    }
}
