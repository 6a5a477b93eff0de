//! WebP by libwebp, of which only the part that is meant is turned into colours.

use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPBitstreamFeatures, WebPDecode, WebPDecoderConfig,
    WebPGetFeatures, WebPInitDecoderConfig,
};

use super::picture::{Picture, Window, animated, bounded, damaged, on_white};

/// Decodes a WebP. With `square` the picture may be less than the original: the square in the middle and a
/// little around it.
pub(crate) fn decode(bytes: &[u8], square: bool) -> Result<Picture, String> {
    let features = features(bytes)?;
    if features.has_animation != 0 {
        return Err(animated("WebP"));
    }
    let (width, height) = (features.width as usize, features.height as usize);
    bounded(width as u64, height as u64)?;
    let window = Window::of(width, height, square);
    let (left, part_width) = widen(window.left, window.width, width);
    let (top, part_height) = widen(window.top, window.height, height);
    let part = Window { left, top, width: part_width, height: part_height };
    let alpha = features.has_alpha != 0;
    let pixels = pixels(bytes, part, if alpha { 4 } else { 3 })?;
    Ok(Picture {
        width: part.width,
        height: part.height,
        pixels: if alpha { on_white(&pixels) } else { pixels },
        window: Window { left: window.left - left, top: window.top - top, ..window },
    })
}

/// A stretch of a side of `whole` pixels, wide enough that its pixels are those of a whole decode: colours
/// have half the resolution and are interpolated, so one of them more on each side; and libwebp
/// begins at even pixels.
fn widen(from: usize, length: usize, whole: usize) -> (usize, usize) {
    let start = from.saturating_sub(2) / 2 * 2;
    let end = (from + length + 2).next_multiple_of(2).min(whole);
    (start, end - start)
}

fn features(bytes: &[u8]) -> Result<WebPBitstreamFeatures, String> {
    let mut config = config()?;
    // SAFETY: the pointer and the length are those of one slice, and the features are ours to fill.
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &mut config.input) };
    accept(status)?;
    Ok(config.input)
}

/// The pixels of `part`, with 3 channels or 4.
fn pixels(bytes: &[u8], part: Window, channels: usize) -> Result<Vec<u8>, String> {
    let mut pixels = vec![0; part.width * part.height * channels];
    let mut config = config()?;
    config.options.use_cropping = 1;
    config.options.crop_left = part.left as i32;
    config.options.crop_top = part.top as i32;
    config.options.crop_width = part.width as i32;
    config.options.crop_height = part.height as i32;
    config.output.colorspace =
        if channels == 4 { WEBP_CSP_MODE::MODE_RGBA } else { WEBP_CSP_MODE::MODE_RGB };
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels.as_mut_ptr();
    config.output.u.RGBA.stride = (part.width * channels) as i32;
    config.output.u.RGBA.size = pixels.len();
    // SAFETY: the input is one slice; the output is a vector of `stride × height` bytes that outlives the
    // call, and libwebp refuses a picture that does not fit into `size`.
    let status = unsafe { WebPDecode(bytes.as_ptr(), bytes.len(), &mut config) };
    accept(status)?;
    Ok(pixels)
}

fn config() -> Result<WebPDecoderConfig, String> {
    let mut config = std::mem::MaybeUninit::<WebPDecoderConfig>::zeroed();
    // SAFETY: the function fills the whole struct and says whether it did; before that all of it is zero, which
    // is a value of every field.
    let config = unsafe {
        let filled = WebPInitDecoderConfig(config.as_mut_ptr());
        filled.then(|| config.assume_init())
    };
    config.ok_or_else(|| "libwebp is of another version than its headers".into())
}

fn accept(status: VP8StatusCode) -> Result<(), String> {
    let why = match status {
        VP8StatusCode::VP8_STATUS_OK => return Ok(()),
        VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA | VP8StatusCode::VP8_STATUS_SUSPENDED => {
            "it was cut short"
        }
        VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY => "out of memory",
        VP8StatusCode::VP8_STATUS_UNSUPPORTED_FEATURE => "a feature that libwebp does not know",
        _ => "its contents contradict each other",
    };
    Err(damaged("WebP", why))
}
