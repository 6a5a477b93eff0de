//! One Arrow file of a split: mapped, delimited by its footer, decoded batch by batch without a copy.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{Int32Type, Schema, SchemaRef, UInt8Type};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, root_as_footer};

use crate::error::{Error, Result, bad, io_error};
use crate::manifest::Manifest;
use crate::schema::{columns, schema, stated_shape};

/// The last ten bytes of an Arrow file: the footer's length and `ARROW1`.
const TRAILER: usize = 10;

/// A mapped file whose footer has been read. No record batch has been touched.
pub(crate) struct Mapped {
    pub(crate) bytes: Buffer,
    pub(crate) blocks: Vec<Block>,
    schema: SchemaRef,
    decoder: FileDecoder,
}

impl Mapped {
    /// Maps the file at `path` and reads its footer.
    pub(crate) fn open(path: &Path, fix: &str) -> Result<Mapped> {
        let file = File::open(path).map_err(io_error(path, "open"))?;
        // SAFETY: the map is read-only, and shards are written to the side and renamed, so nobody changes
        // one in place. A file cut short by another program ends this process (SIGBUS), as `Shards` documents.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io_error(path, "map"))?;
        let bytes = Buffer::from(bytes::Bytes::from_owner(map));
        Self::parse(bytes).map_err(|(found, expected)| bad(path, "footer", found, expected, fix))
    }

    fn parse(bytes: Buffer) -> Result<Mapped, (String, &'static str)> {
        let arrow = "the footer of an Arrow IPC file";
        let trailer =
            bytes.len().checked_sub(TRAILER).ok_or((format!("{} bytes", bytes.len()), arrow))?;
        let mut last = [0; TRAILER];
        last.copy_from_slice(&bytes[trailer..]);
        let length = read_footer_length(last).map_err(|e| (e.to_string(), arrow))?;
        let start =
            trailer.checked_sub(length).ok_or((format!("a length of {length} bytes"), arrow))?;
        let footer = root_as_footer(&bytes[start..trailer]).map_err(|e| (e.to_string(), arrow))?;
        let schema = footer.schema().ok_or(("no schema".to_string(), arrow))?;
        let schema = Arc::new(try_fb_to_schema(schema).map_err(|e| (e.to_string(), arrow))?);
        let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
        for block in &blocks {
            let ends = extent(block)
                .and_then(|(offset, head, body)| offset.checked_add(head)?.checked_add(body));
            if ends.is_none_or(|end| end > start) {
                return Err((format!("{block:?}"), "record batches that lie before the footer"));
            }
        }
        // An array that is not aligned would be copied silently; it is an error instead.
        let decoder =
            FileDecoder::new(schema.clone(), footer.version()).with_require_alignment(true);
        Ok(Mapped { bytes, blocks, schema, decoder })
    }

    /// The bytes of record batch `b`, metadata and body: what its checksum covers.
    pub(crate) fn block(&self, b: usize) -> Buffer {
        let (offset, head, body) = extent(&self.blocks[b]).unwrap_or_default();
        self.bytes.slice_with_length(offset, head + body)
    }
}

/// Offset, metadata length and body length of a block; none if one is negative.
fn extent(block: &Block) -> Option<(usize, usize, usize)> {
    let size = |n: i64| usize::try_from(n).ok();
    Some((size(block.offset())?, size(block.metaDataLength().into())?, size(block.bodyLength())?))
}

/// A decoded record batch. Its buffers are views into the map.
pub(crate) struct Batch {
    /// uint8, rows × height × width × channels.
    pub(crate) images: ScalarBuffer<u8>,
    pub(crate) labels: ScalarBuffer<i32>,
    pub(crate) keys: StringArray,
}

/// A shard that agrees with its manifest in length, schema and number of batches.
pub(crate) struct Shard {
    pub(crate) path: PathBuf,
    pub(crate) mapped: Mapped,
    crc32: Vec<u32>,
    name: String,
    /// Rows of each batch but the last, and of the shard.
    rows: (usize, usize),
}

impl Shard {
    /// Opens shard `k` of the split in `dir`.
    pub(crate) fn open(dir: &Path, manifest: &Manifest, k: usize) -> Result<Shard> {
        let entry = &manifest.shards[k];
        let path = dir.join(&entry.file);
        let length = std::fs::metadata(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => {
                let expected = format!("shard {k} of {}", manifest.shards.len());
                bad(&path, "shard", "no such file", expected, manifest.again())
            }
            _ => io_error(&path, "read")(source),
        })?;
        if length.len() != entry.bytes {
            let (found, expected) =
                (format!("{} bytes", length.len()), format!("{} bytes", entry.bytes));
            return Err(bad(&path, "length", found, expected, manifest.again()));
        }
        let mapped = Mapped::open(&path, &manifest.again())?;
        check_schema(&path, &mapped.schema, manifest)?;
        if mapped.blocks.len() != entry.crc32.len() {
            let (found, expected) = (mapped.blocks.len(), entry.crc32.len());
            return Err(bad(&path, "number of record batches", found, expected, manifest.again()));
        }
        Ok(Shard {
            path,
            mapped,
            crc32: entry.crc32.clone(),
            name: manifest.name.clone(),
            rows: (manifest.rows_per_batch, entry.rows),
        })
    }

    /// Checks the checksum of record batch `b`.
    pub(crate) fn check(&self, b: usize) -> Result<()> {
        let (found, expected) = (crc32fast::hash(&self.mapped.block(b)), self.crc32[b]);
        if found == expected {
            return Ok(());
        }
        let (found, expected) = (format!("CRC-32 {found:08x}"), format!("{expected:08x}"));
        let fix = format!(
            "the file changed after the import: `duel data verify {0}` lists all damage, then delete the \
             folder and run `duel data import {0}` again",
            self.name
        );
        Err(bad(&self.path, format!("record batch {b}"), found, expected, fix))
    }

    /// Checks and decodes record batch `b`.
    pub(crate) fn decode(&self, b: usize) -> Result<Batch> {
        self.check(b)?;
        let wrong = |found: String, expected: String| -> Error {
            let fix = crate::manifest::import(&self.name);
            bad(&self.path, format!("record batch {b}"), found, expected, fix)
        };
        let decoded =
            self.mapped.decoder.read_record_batch(&self.mapped.blocks[b], &self.mapped.block(b));
        let batch: RecordBatch = decoded
            .map_err(|e| wrong(e.to_string(), "a record batch".into()))?
            .ok_or_else(|| wrong("an empty message".into(), "a record batch".into()))?;
        let rows = self.rows.0.min(self.rows.1 - b * self.rows.0);
        if batch.num_rows() != rows {
            return Err(wrong(format!("{} rows", batch.num_rows()), format!("{rows} rows")));
        }
        if batch.columns().iter().any(|column| column.null_count() > 0) {
            return Err(wrong("nulls".into(), "a value in every row".into()));
        }
        let pixels = batch.column(0).as_fixed_size_list().values();
        Ok(Batch {
            images: pixels.as_primitive::<UInt8Type>().values().clone(),
            labels: batch.column(1).as_primitive::<Int32Type>().values().clone(),
            keys: batch.column(2).as_string::<i32>().clone(),
        })
    }
}

fn check_schema(path: &Path, found: &Schema, manifest: &Manifest) -> Result<()> {
    let shape = stated_shape(found);
    if shape.as_deref() != Some(&manifest.shape) {
        let found = shape.map_or("none".into(), |shape| format!("{shape:?}"));
        let expected = format!("{:?} as in the manifest", manifest.shape);
        return Err(bad(path, "shape of column `image`", found, expected, manifest.again()));
    }
    let expected = schema(manifest.shape).as_ref().map(columns).unwrap_or_default();
    let found = columns(found);
    if found != expected {
        return Err(bad(path, "columns", found, expected, manifest.again()));
    }
    Ok(())
}
