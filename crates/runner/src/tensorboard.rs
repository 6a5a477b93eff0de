//! `tensorboard/events.out.tfevents.run`: the log and the sample grids once more, as TensorBoard
//! reads them, over images shown.
//!
//! The file is made anew from the log whenever a run is begun or taken up, and appended to
//! meanwhile, so no report is in it twice and none that a crash left half written. Its times are
//! those spent on training, from the log's own figures: they leave out what lay between a stop and
//! a resume.

use crate::aside::{self, Aside, at};
use crate::command::Failure;
use crate::run_dir::{self, pictures};
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Keys of the log, and what they are called there.
const SCALARS: [(&str, &str); 9] = [
    ("loss_d", "loss/d"),
    ("loss_g", "loss/g"),
    ("value", "value"),
    ("d_real", "d/real"),
    ("d_fake", "d/fake"),
    ("logit_fake", "d/logit_fake"),
    ("diversity", "diversity"),
    ("images_per_second", "images_per_second"),
    ("data_wait", "data_wait"),
];

/// The open file.
#[derive(Debug)]
pub(crate) struct Events {
    file: File,
    path: PathBuf,
    clock: Clock,
}

impl Events {
    /// Makes the file of a run that has shown `images`, from the lines of its log and the grids of that
    /// time.
    ///
    /// # Errors
    /// A grid that cannot be read, a file that cannot be written.
    pub fn open(run: &Path, images: u64, lines: &[impl Serialize]) -> Result<Self, Failure> {
        let folder = run.join("tensorboard");
        fs::create_dir_all(&folder).map_err(|e| run_dir::at(&folder, &e))?;
        aside::sweep(&folder)?;
        let path = folder.join("events.out.tfevents.run");
        let mut whole = Aside::create(&path)?;
        whole.write_all(&record(&event(0.0, 0, &bytes_field(3, b"brain.Event:2"))))?;
        let mut clock = Clock::default();
        let mut grids = pictures(run)?.into_iter().peekable();
        for line in lines {
            let line = serde_json::to_value(line)?;
            let shown = shown(&line).unwrap_or(0);
            while let Some((images, grid)) = grids.next_if(|grid| grid.0 < shown) {
                whole.write_all(&read(&clock, images, &grid)?)?;
            }
            clock.advance(&line);
            whole.write_all(&scalars(&clock, &line))?;
        }
        for (images, grid) in grids.filter(|grid| grid.0 <= images) {
            whole.write_all(&read(&clock, images, &grid)?)?;
        }
        whole.commit()?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|e| run_dir::at(&path, &e))?;
        Ok(Self { file, path, clock })
    }

    /// Appends a line of the log.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn report(&mut self, line: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_value(line)?;
        self.clock.advance(&line);
        let bytes = scalars(&self.clock, &line);
        self.append(&bytes)
    }

    /// Appends a grid, a PNG.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn samples(&mut self, images: u64, png: &[u8]) -> io::Result<()> {
        let bytes = picture(&self.clock, images, png);
        self.append(&bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(|error| at(&self.path, error))
    }
}

/// Seconds of training, summed over reports.
#[derive(Debug, Default)]
struct Clock {
    seconds: f64,
    images: u64,
}

impl Clock {
    fn advance(&mut self, line: &Value) {
        let images = shown(line).unwrap_or(self.images);
        let pace = line["images_per_second"].as_f64().unwrap_or(0.0);
        if pace > 0.0 {
            self.seconds += images.saturating_sub(self.images) as f64 / pace;
        }
        self.images = images;
    }
}

fn shown(line: &Value) -> Option<u64> {
    line["images"].as_u64()
}

/// A record of all figures of a line.
fn scalars(clock: &Clock, line: &Value) -> Vec<u8> {
    let mut summary = Vec::new();
    for (key, tag) in SCALARS {
        if let Some(value) = line[key].as_f64() {
            let mut scalar = bytes_field(1, tag.as_bytes());
            scalar.push(2 << 3 | FIXED32);
            scalar.extend((value as f32).to_le_bytes());
            summary.extend(bytes_field(1, &scalar));
        }
    }
    record(&event(clock.seconds, clock.images, &bytes_field(5, &summary)))
}

/// A record of a grid that an earlier part of the run has drawn.
fn read(clock: &Clock, images: u64, grid: &Path) -> Result<Vec<u8>, Failure> {
    Ok(picture(clock, images, &fs::read(grid).map_err(|e| run_dir::at(grid, &e))?))
}

/// A record of a PNG.
fn picture(clock: &Clock, images: u64, png: &[u8]) -> Vec<u8> {
    // Width and height are the first fields of a PNG's first chunk.
    let size = |at: usize| {
        png.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().expect("four")))
    };
    let mut image = varint_field(1, u64::from(size(20)));
    image.extend(varint_field(2, u64::from(size(16))));
    image.extend(varint_field(3, 3)); // RGB
    image.extend(bytes_field(4, png));
    let mut value = bytes_field(1, b"samples");
    value.extend(bytes_field(4, &image));
    record(&event(clock.seconds, images, &bytes_field(5, &bytes_field(1, &value))))
}

/// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// TensorFlow's message `Event`: wall_time = 1, step = 2, and what happened.
fn event(seconds: f64, step: u64, what: &[u8]) -> Vec<u8> {
    let mut event = vec![1 << 3 | FIXED64];
    event.extend(seconds.to_le_bytes());
    event.extend(varint_field(2, step));
    event.extend(what);
    event
}

fn varint_field(number: u8, value: u64) -> Vec<u8> {
    let mut field = vec![number << 3 | VARINT];
    varint(value, &mut field);
    field
}

fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | BYTES];
    varint(bytes.len() as u64, &mut field);
    field.extend(bytes);
    field
}

fn varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// TFRecord: length, its checksum, the bytes, theirs.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(checksum(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(checksum(bytes).to_le_bytes());
    record
}

/// CRC-32C, masked as TFRecord wants it: a file may hold checksums of files that hold checksums.
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
