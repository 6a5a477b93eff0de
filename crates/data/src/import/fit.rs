//! A picture to the size of a row.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::picture::Picture;

/// What a manifest says of pictures that went through [`Fitter`] with a size.
pub(crate) const RESIZE: &str = "centre crop to the shorter side, then bilinear with antialias (Pillow's BILINEAR) \
     where the size differs";

/// Brings pictures to a size, and keeps its buffers from one to the next.
pub(crate) struct Fitter {
    size: Option<usize>,
    resizer: Resizer,
}

impl Fitter {
    /// To squares of `size` pixels, or to no size but their own.
    pub(crate) fn new(size: Option<usize>) -> Fitter {
        Fitter { size, resizer: Resizer::new() }
    }

    /// The shape and the pixels of a row: the picture's window, resized if a size was given.
    pub(crate) fn fit(&mut self, picture: Picture) -> Result<([usize; 3], Vec<u8>), String> {
        let window = picture.window;
        // What lies outside is cut off first: a filter that saw it would mix it in.
        let pixels = cut(picture);
        let Some(size) = self.size.filter(|&size| [window.width, window.height] != [size; 2])
        else {
            return Ok(([window.height, window.width, 3], pixels));
        };
        let failed = |e: &dyn std::fmt::Display| format!("found what cannot be resized: {e}");
        let (width, height) = (window.width as u32, window.height as u32);
        let from = ImageRef::new(width, height, &pixels, PixelType::U8x3);
        let from = from.map_err(|e| failed(&e))?;
        let mut to = Image::new(size as u32, size as u32, PixelType::U8x3);
        // Bilinear, its support widened by the scale: what Pillow and torchvision do by default.
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .use_alpha(false);
        self.resizer.resize(&from, &mut to, &options).map_err(|e| failed(&e))?;
        Ok(([size, size, 3], to.into_vec()))
    }
}

/// The pixels of a picture's window.
fn cut(picture: Picture) -> Vec<u8> {
    let window = picture.window;
    if [window.width, window.height] == [picture.width, picture.height] {
        return picture.pixels;
    }
    let mut pixels = Vec::with_capacity(window.width * window.height * 3);
    for line in picture.pixels.chunks_exact(picture.width * 3).skip(window.top).take(window.height)
    {
        pixels.extend_from_slice(&line[window.left * 3..][..window.width * 3]);
    }
    pixels
}
