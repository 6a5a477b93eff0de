//! Pictures: sample grids, curves, densities.

pub mod curves;
pub mod density;
pub mod font;
pub mod grid;
pub mod roofline;

pub(crate) mod axis;
pub(crate) mod canvas;

use crate::aside;
use image::{ImageFormat, RgbImage};
use std::io::{self, Cursor};
use std::path::Path;

/// Saves a picture as PNG, to the side and renamed.
///
/// # Errors
/// When the file cannot be written.
pub fn save(image: &RgbImage, path: &Path) -> io::Result<()> {
    aside::write(path, &png(image)?)
}

/// The bytes of a picture as PNG.
pub(crate) fn png(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).map_err(io::Error::other)?;
    Ok(png.into_inner())
}
