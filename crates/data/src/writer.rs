//! Writes a split: rows become record batches, record batches shards, and the folder appears when it is whole.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{FixedSizeListArray, Int32Array, RecordBatch, StringBuilder, UInt8Array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use tempfile::TempDir;

use crate::aside::{parent, publish, sync_dir};
use crate::digest::sha256;
use crate::error::{Error, Result, bad, io_error};
use crate::manifest::{self, Manifest, Original, ShardEntry};
use crate::schema::{item, schema};
use crate::shard::Mapped;

/// Record batches start at multiples of a cache line.
const ALIGNMENT: usize = 64;

/// What an importer knows of a split before it has read an image.
#[derive(Clone, Debug)]
pub struct Description {
    /// The data set.
    pub name: String,
    /// The split.
    pub split: String,
    /// The importer.
    pub importer: String,
    /// Names of the classes in the order of the labels; empty where unknown.
    pub classes: Vec<String>,
    /// Height, width and channels.
    pub shape: [usize; 3],
    /// Rows of a shard: a multiple of `rows_per_batch`.
    pub rows_per_shard: usize,
    /// Rows of a record batch: what one checksum covers.
    pub rows_per_batch: usize,
}

impl Description {
    /// A description with shards of 8192 rows, record batches of 256, and classes without names.
    pub fn new(name: &str, split: &str, importer: &str, shape: [usize; 3]) -> Description {
        Description {
            name: name.into(),
            split: split.into(),
            importer: importer.into(),
            classes: Vec::new(),
            shape,
            rows_per_shard: 8192,
            rows_per_batch: 256,
        }
    }
}

/// Takes rows one by one. The same rows give the same bytes on disk.
///
/// All is written to a folder beside the final one and renamed by [`finish`](Writer::finish); a writer that
/// is dropped before leaves nothing behind.
pub struct Writer {
    out: PathBuf,
    pub(crate) manifest: Manifest,
    schema: SchemaRef,
    /// Holds `folder` where that is nobody else's, and removes it if `finish` never comes.
    staging: Option<TempDir>,
    folder: PathBuf,
    shard: Option<FileWriter<BufWriter<File>>>,
    rows_in_shard: usize,
    images: Vec<u8>,
    labels: Vec<i32>,
    keys: StringBuilder,
}

impl Writer {
    /// Starts the split that will be the folder `out`.
    ///
    /// # Errors
    /// `out` exists, its parent cannot be written, or the shape is empty or too large.
    pub fn create(out: &Path, about: Description) -> Result<Writer> {
        if fs::symlink_metadata(out).is_ok() {
            return Err(Error::Exists(out.to_owned()));
        }
        let parent = parent(out);
        fs::create_dir_all(parent).map_err(io_error(parent, "create"))?;
        let staging = tempfile::Builder::new()
            .prefix(".import-")
            .tempdir_in(parent)
            .map_err(io_error(parent, "write into"))?;
        // A folder in the folder: the outer one is private by design, the inner one has the user's permissions.
        let folder = staging.path().join("split");
        fs::create_dir(&folder).map_err(io_error(&folder, "create"))?;
        Ok(Writer { staging: Some(staging), ..Writer::within(out, &folder, about)? })
    }

    /// Starts the split that will be the folder `out` in `folder`, which its owner keeps and removes.
    pub(crate) fn within(out: &Path, folder: &Path, about: Description) -> Result<Writer> {
        let manifest = Manifest {
            format: manifest::FORMAT,
            name: about.name,
            split: about.split,
            rows: 0,
            shape: about.shape,
            rows_per_shard: about.rows_per_shard,
            rows_per_batch: about.rows_per_batch,
            importer: about.importer,
            resize: None,
            skipped: 0,
            sources: Vec::new(),
            class_counts: vec![0; about.classes.len()],
            classes: about.classes,
            shards: Vec::new(),
        };
        Writer::go_on(out, folder, manifest)
    }

    /// Goes on with a split whose whole shards lie in `folder` as `manifest` says.
    pub(crate) fn go_on(out: &Path, folder: &Path, manifest: Manifest) -> Result<Writer> {
        let Manifest { rows_per_shard, rows_per_batch, shape, .. } = manifest;
        if rows_per_batch == 0
            || rows_per_shard == 0
            || !rows_per_shard.is_multiple_of(rows_per_batch)
        {
            let found =
                format!("{rows_per_shard} rows in shards, {rows_per_batch} in record batches");
            return Err(bad(
                out,
                "layout",
                found,
                "a positive multiple of a positive number",
                "choose, say, 8192 and 256",
            ));
        }
        let schema = schema(shape).filter(|_| !shape.contains(&0)).ok_or_else(|| {
            bad(
                out,
                "shape",
                format!("{shape:?}"),
                "positive sizes below 2 GiB",
                "check the original files",
            )
        })?;
        Ok(Writer {
            out: out.to_owned(),
            manifest,
            schema: Arc::new(schema),
            staging: None,
            folder: folder.to_owned(),
            shard: None,
            rows_in_shard: 0,
            images: Vec::new(),
            labels: Vec::new(),
            keys: StringBuilder::new(),
        })
    }

    /// Whether all that was pushed is in whole shards on disk.
    pub(crate) fn ends_with_a_shard(&self) -> bool {
        self.shard.is_none() && self.labels.is_empty() && self.manifest.rows > 0
    }

    /// Appends an image (uint8, height × width × channels) with its label and its key.
    ///
    /// # Errors
    /// An image of another size, a label that is negative or has no class, a full disk.
    pub fn push(&mut self, image: &[u8], label: i32, key: &str) -> Result<()> {
        let m = &mut self.manifest;
        let place = || format!("image {key}");
        if image.len() != m.image_bytes() {
            let (found, expected) = (
                format!("{} bytes", image.len()),
                format!("{} for {:?}", m.image_bytes(), m.shape),
            );
            return Err(bad(&self.out, place(), found, expected, "check the original files"));
        }
        // Without names the classes are counted as they come; the bound keeps a stray label from costing memory.
        let classes = if m.classes.is_empty() { 1 << 20 } else { m.classes.len() };
        let class = usize::try_from(label).ok().filter(|&c| c < classes).ok_or_else(|| {
            bad(
                &self.out,
                place(),
                format!("label {label}"),
                format!("0 to {}", classes - 1),
                "check the original files and `classes` of the recipe",
            )
        })?;
        if class >= m.class_counts.len() {
            m.class_counts.resize(class + 1, 0);
        }
        m.class_counts[class] += 1;
        m.rows += 1;
        self.images.extend_from_slice(image);
        self.labels.push(label);
        self.keys.append_value(key);
        if self.labels.len() == m.rows_per_batch { self.end_batch() } else { Ok(()) }
    }

    /// Writes what is left and gives the folder its name. `sources` are the files that were read.
    ///
    /// # Errors
    /// No image was pushed, `out` has appeared meanwhile, or the disk is full.
    pub fn finish(mut self, sources: Vec<Original>) -> Result<Manifest> {
        if !self.labels.is_empty() {
            self.end_batch()?;
        }
        self.end_shard()?;
        self.manifest.sources = sources;
        self.manifest.write(&self.folder)?;
        sync_dir(&self.folder)?;
        if fs::symlink_metadata(&self.out).is_ok() {
            return Err(Error::Exists(self.out));
        }
        publish(&self.folder, &self.out)?;
        drop(self.staging);
        tracing::info!(out = %self.out.display(), rows = self.manifest.rows, "imported");
        Ok(self.manifest)
    }

    /// The file of the shard that is being written.
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{:05}.arrow", self.manifest.shards.len()))
    }

    fn end_batch(&mut self) -> Result<()> {
        let path = self.path();
        let rows = self.labels.len();
        let batch = self.take_batch().map_err(arrow_error(&path))?;
        if self.shard.is_none() {
            let file = File::create_new(&path).map_err(io_error(&path, "create"))?;
            let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5);
            let writer = options
                .and_then(|o| {
                    FileWriter::try_new_with_options(BufWriter::new(file), &self.schema, o)
                })
                .map_err(arrow_error(&path))?;
            self.shard = Some(writer);
        }
        if let Some(shard) = &mut self.shard {
            shard.write(&batch).map_err(arrow_error(&path))?;
        }
        self.rows_in_shard += rows;
        if self.rows_in_shard == self.manifest.rows_per_shard { self.end_shard() } else { Ok(()) }
    }

    fn take_batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let bytes = self.manifest.image_bytes();
        let pixels = UInt8Array::from(std::mem::take(&mut self.images));
        let images = FixedSizeListArray::try_new(item(), bytes as i32, Arc::new(pixels), None)?;
        let labels = Int32Array::from(std::mem::take(&mut self.labels));
        let keys = self.keys.finish();
        RecordBatch::try_new(
            self.schema.clone(),
            vec![Arc::new(images), Arc::new(labels), Arc::new(keys)],
        )
    }

    /// Closes the shard, syncs it, and reads it back for its checksums.
    fn end_shard(&mut self) -> Result<()> {
        let Some(writer) = self.shard.take() else { return Ok(()) };
        let path = self.path();
        let file = writer.into_inner().map_err(arrow_error(&path))?;
        let file = file.into_inner().map_err(|e| io_error(&path, "write")(e.into_error()))?;
        file.sync_all().map_err(io_error(&path, "sync"))?;
        let mapped = Mapped::open(&path, "import again")?;
        self.manifest.shards.push(ShardEntry {
            file: format!("{:05}.arrow", self.manifest.shards.len()),
            bytes: mapped.bytes.len() as u64,
            rows: std::mem::take(&mut self.rows_in_shard),
            sha256: sha256(&mapped.bytes),
            crc32: (0..mapped.blocks.len()).map(|b| crc32fast::hash(&mapped.block(b))).collect(),
        });
        Ok(())
    }
}

fn arrow_error(path: &Path) -> impl FnOnce(ArrowError) -> Error {
    let path = path.to_owned();
    move |e| match e {
        ArrowError::IoError(_, source) => io_error(&path, "write")(source),
        other => io_error(&path, "write")(std::io::Error::other(other)),
    }
}
