//! One encoded picture to RGB. What it is and how large it will be is looked at before anything is decoded.

use std::io::Cursor;

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder};
use image::{DynamicImage, ImageDecoder, Limits};

use super::webp;

/// The most bytes that a picture may have encoded.
pub(crate) const LARGEST_FILE: u64 = 64 << 20;

/// The most pixels that a picture may have: more than cameras make, and 96 MiB as RGB.
const LARGEST: u64 = 32 << 20;

/// The most that a decoder may allocate: the largest picture with four channels of 16 bits.
const LARGEST_DECODED: u64 = LARGEST * 8;

/// RGB, a byte each, row by row, and the part of it that is meant.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
    pub(crate) window: Window,
}

/// A rectangle in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Window {
    /// The square in the middle of a picture, as wide as its shorter side; the odd pixel is left over at the
    /// right and at the bottom. Or all of the picture.
    pub(crate) fn of(width: usize, height: usize, square: bool) -> Window {
        if !square {
            return Window { left: 0, top: 0, width, height };
        }
        let side = width.min(height);
        Window { left: (width - side) / 2, top: (height - side) / 2, width: side, height: side }
    }
}

/// Decodes a PNG, JPEG or WebP; its first bytes decide which, not its name. Grey becomes RGB, palettes are
/// looked up, CMYK is converted, 16 bits are rounded to 8, what is transparent is laid on white. Colour
/// profiles and orientation marks are not applied. With `square` only the square in the middle is meant.
///
/// The error is what was found and what was expected.
pub(crate) fn decode(bytes: &[u8], square: bool) -> Result<Picture, String> {
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(format!("found more than {LARGEST_FILE} bytes, expected at most that"));
    }
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            webp::decode(bytes, square)
        }
        [0xff, 0xd8, 0xff, ..] => {
            let decoder = JpegDecoder::new(Cursor::new(bytes));
            raster(decoder.map_err(|e| damaged("JPEG", e))?, "JPEG", square)
        }
        [0x89, b'P', b'N', b'G', ..] => {
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits());
            let decoder = decoder.map_err(|e| damaged("PNG", e))?;
            if decoder.is_apng().map_err(|e| damaged("PNG", e))? {
                return Err(animated("PNG"));
            }
            raster(decoder, "PNG", square)
        }
        other => Err(format!("found {}, expected a PNG, JPEG or WebP", name(other))),
    }
}

/// What else the bytes may be.
fn name(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "nothing: it is empty",
        [b'G', b'I', b'F', b'8', ..] => "a GIF",
        [b'B', b'M', ..] => "a BMP",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an AVIF, HEIC or film",
        _ => "bytes that are no picture known here",
    }
}

pub(crate) fn animated(kind: &str) -> String {
    format!("found an animated {kind}, expected one picture")
}

pub(crate) fn damaged(kind: &str, why: impl ToString) -> String {
    format!("found a {kind} that cannot be decoded ({}), expected a whole one", why.to_string())
}

/// Refuses sizes that would cost too much, before they do.
pub(crate) fn bounded(width: u64, height: u64) -> Result<(), String> {
    let pixels = width.saturating_mul(height);
    if pixels == 0 || pixels > LARGEST {
        return Err(format!("found {width}×{height} pixels, expected 1 to {LARGEST} in all"));
    }
    Ok(())
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST_DECODED);
    limits
}

fn raster(mut decoder: impl ImageDecoder, kind: &str, square: bool) -> Result<Picture, String> {
    let (width, height) = decoder.dimensions();
    bounded(width.into(), height.into())?;
    decoder.set_limits(limits()).map_err(|e| damaged(kind, e))?;
    let image = DynamicImage::from_decoder(decoder).map_err(|e| damaged(kind, e))?;
    let pixels = if image.color().has_alpha() {
        on_white(&image.into_rgba8())
    } else {
        image.into_rgb8().into_raw()
    };
    let (width, height) = (width as usize, height as usize);
    Ok(Picture { width, height, pixels, window: Window::of(width, height, square) })
}

/// RGBA laid on white, rounded to the nearest.
pub(crate) fn on_white(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.chunks_exact(4) {
        let alpha = u32::from(pixel[3]);
        let mix = |c: u8| ((u32::from(c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        rgb.extend([mix(pixel[0]), mix(pixel[1]), mix(pixel[2])]);
    }
    rgb
}
