//! IDX, the format of MNIST: a big-endian header and bytes; plain or gzipped.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::digest::Digesting;
use crate::error::{Result, bad, io_error};
use crate::gunzip;
use crate::manifest::{Manifest, Original};
use crate::writer::{Description, Writer};

/// Magic numbers: two zero bytes, 8 for unsigned bytes, the number of dimensions.
const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// The largest side of an image that is believed.
const LARGEST_SIDE: u32 = 4096;

/// What to import and how to lay it out.
#[derive(Clone, Debug)]
pub struct Idx {
    /// The data set.
    pub name: String,
    /// The split.
    pub split: String,
    /// The file of images: count × height × width bytes, magic number 0x803.
    pub images: PathBuf,
    /// The file of labels: count bytes, magic number 0x801.
    pub labels: PathBuf,
    /// Height, width and channels that the files must have; none if any will do.
    pub image: Option<[usize; 3]>,
    /// Names of the classes; empty where unknown.
    pub classes: Vec<String>,
    /// Rows of a shard.
    pub rows_per_shard: usize,
    /// Rows of a record batch.
    pub rows_per_batch: usize,
}

impl Idx {
    /// Classes without names, the usual layout.
    pub fn new(name: &str, split: &str, images: &Path, labels: &Path) -> Idx {
        let usual = Description::new(name, split, "idx", [1; 3]);
        Idx {
            name: usual.name,
            split: usual.split,
            images: images.to_owned(),
            labels: labels.to_owned(),
            image: None,
            classes: usual.classes,
            rows_per_shard: usual.rows_per_shard,
            rows_per_batch: usual.rows_per_batch,
        }
    }
}

/// Imports a pair of IDX files as the folder `out`, which must not exist. `progress` is told (images done,
/// images in all) after each record batch. The same files give the same bytes.
///
/// # Errors
/// Files that are missing, of another kind, cut short, or longer than their headers say; counts that
/// disagree; labels without a class; `out` exists. Nothing is left behind then.
pub fn idx(from: &Idx, out: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Manifest> {
    let mut images = Stream::open(&from.images, IMAGES, 3)?;
    let mut labels = Stream::open(&from.labels, LABELS, 1)?;
    let rows = images.dims[0];
    if labels.dims[0] != rows {
        let expected = format!("{rows}, as many as images in {}", from.images.display());
        return Err(bad(&from.labels, "header, count", labels.dims[0], expected, pair()));
    }
    if rows == 0 {
        return Err(bad(&from.images, "header, count", 0, "at least one image", pair()));
    }
    for (side, &size) in ["height", "width"].iter().zip(&images.dims[1..]) {
        if !(1..=LARGEST_SIDE).contains(&size) {
            let expected = format!("1 to {LARGEST_SIDE} pixels");
            return Err(bad(&from.images, format!("header, {side}"), size, expected, pair()));
        }
    }
    let shape = [images.dims[1] as usize, images.dims[2] as usize, 1];
    if let Some(expected) = from.image.filter(|&expected| expected != shape) {
        let (found, expected) = (format!("{shape:?}"), format!("{expected:?}"));
        return Err(bad(
            &from.images,
            "header, sizes",
            found,
            expected,
            "correct `image` of the recipe, or give its files",
        ));
    }
    let about = Description {
        classes: from.classes.clone(),
        rows_per_shard: from.rows_per_shard,
        rows_per_batch: from.rows_per_batch,
        ..Description::new(&from.name, &from.split, "idx", shape)
    };
    let mut writer = Writer::create(out, about)?;
    let (mut image, mut label) = (vec![0; shape.iter().product()], [0]);
    for row in 0..rows {
        images.read(&mut image, row)?;
        labels.read(&mut label, row)?;
        writer.push(&image, i32::from(label[0]), &format!("{row:08}"))?;
        if (row as usize + 1).is_multiple_of(from.rows_per_batch) || row + 1 == rows {
            progress(u64::from(row) + 1, u64::from(rows));
        }
    }
    writer.finish(vec![images.finish()?, labels.finish()?])
}

/// The fix of nearly everything that can be wrong here.
fn pair() -> String {
    "give the images and the labels of one split as IDX files, whole; delete damaged ones and run `duel data fetch` again".into()
}

/// An IDX file of bytes whose header has been read.
struct Stream<'a> {
    path: &'a Path,
    reader: Digesting<Box<dyn Read>>,
    dims: Vec<u32>,
}

impl<'a> Stream<'a> {
    fn open(path: &'a Path, magic: u32, dims: usize) -> Result<Self> {
        let mut file =
            Stream { path, reader: Digesting::new(gunzip::open(path)?), dims: Vec::new() };
        let found = file.word("header, magic number")?;
        if found != magic {
            let (found, expected) = (
                format!("{found:#010x}"),
                format!("{magic:#010x} (IDX, unsigned bytes, {dims} dimensions)"),
            );
            return Err(bad(path, "header, magic number", found, expected, pair()));
        }
        for _ in 0..dims {
            let size = file.word("header, sizes")?;
            file.dims.push(size);
        }
        Ok(file)
    }

    fn word(&mut self, place: &str) -> Result<u32> {
        let mut word = [0; 4];
        self.fill(&mut word, || place.into())?;
        Ok(u32::from_be_bytes(word))
    }

    fn read(&mut self, into: &mut [u8], row: u32) -> Result<()> {
        let rows = self.dims[0];
        self.fill(into, || format!("row {row} of {rows}"))
    }

    fn fill(&mut self, into: &mut [u8], place: impl FnOnce() -> String) -> Result<()> {
        self.reader.read_exact(into).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => {
                let found = format!("the end of the file after {} bytes", self.reader.bytes);
                bad(self.path, place(), found, format!("{} bytes more", into.len()), pair())
            }
            _ => bad(self.path, place(), e, "readable content", pair()),
        })
    }

    /// Checks that nothing is left, and says what was read.
    fn finish(mut self) -> Result<Original> {
        let said = self.reader.bytes;
        let more = self.reader.read(&mut [0]).map_err(io_error(self.path, "read"))?;
        if more > 0 {
            let (found, expected) = ("more", format!("{said} bytes, as the header says"));
            return Err(bad(self.path, "length", found, expected, pair()));
        }
        let name =
            self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let file = name.strip_suffix(".gz").unwrap_or(&name).to_owned();
        Ok(Original { file, sha256: self.reader.finish() })
    }
}
