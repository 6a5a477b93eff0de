//! Opens a file that may or may not be gzipped; its first bytes decide, not its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Result, io_error};

/// The uncompressed content of the file at `path`.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).map_err(io_error(path, "open"))?;
    plain(BufReader::with_capacity(1 << 18, file)).map_err(io_error(path, "read"))
}

/// The uncompressed content of `reader`.
pub(crate) fn plain<'a>(mut reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let gzipped = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) })
}
