//! Samples side by side.

use image::{Rgb, RgbImage};

/// The separators, and what is left of the last row.
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// Lays out `n` images of `h` × `w` × `c` (row-major `[n, h, w, c]`, one or three channels) in
/// `columns` columns, each pixel `scale` × `scale` pixels large, with thin separators.
///
/// # Panics
/// When the number of bytes is not `n·h·w·c`, or `c` is neither 1 nor 3.
pub fn grid(
    images: &[u8],
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    columns: usize,
    scale: usize,
) -> RgbImage {
    assert!(c == 1 || c == 3, "a picture has 1 or 3 channels, not {c}");
    assert_eq!(images.len(), n * h * w * c, "bytes of [{n}, {h}, {w}, {c}]");
    let (columns, scale) = (columns.clamp(1, n.max(1)), scale.max(1));
    let rows = n.div_ceil(columns).max(1);
    let gap = gap(h.max(w) * scale);
    let (tile_w, tile_h) = (w * scale + gap, h * scale + gap);
    let size =
        |tiles: usize, tile: usize| u32::try_from(tiles * tile + gap).expect("a picture that fits");
    let mut out = RgbImage::from_pixel(size(columns, tile_w), size(rows, tile_h), PAPER);
    for i in 0..n {
        let (left, top) = (gap + i % columns * tile_w, gap + i / columns * tile_h);
        for y in 0..h * scale {
            for x in 0..w * scale {
                let at = ((i * h + y / scale) * w + x / scale) * c;
                let pixel = match images[at..at + c] {
                    [grey] => Rgb([grey, grey, grey]),
                    [r, g, b] => Rgb([r, g, b]),
                    _ => unreachable!("1 or 3 channels"),
                };
                out.put_pixel((left + x) as u32, (top + y) as u32, pixel);
            }
        }
    }
    out
}

/// The integer by which images of `h` × `w` are enlarged so that one can see them: to 64 pixels
/// or a little more.
pub fn scale_for(h: usize, w: usize) -> usize {
    64usize.div_ceil(h.max(w).max(1))
}

/// A separator of a thirtieth of a tile.
fn gap(tile: usize) -> usize {
    (tile / 30).clamp(1, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_where_they_belong() {
        // Three 1×2 colour images in two columns, tripled; gaps of one pixel.
        let images: Vec<u8> = (0..18).map(|v| v * 10).collect();
        let picture = grid(&images, 3, 1, 2, 3, 2, 3);
        assert_eq!(picture.dimensions(), (1 + 2 * 7, 1 + 2 * 4));
        let pixel = |x, y| picture.get_pixel(x, y).0;
        assert_eq!(pixel(0, 0), [255; 3]);
        assert_eq!((pixel(1, 1), pixel(3, 3)), ([0, 10, 20], [0, 10, 20]));
        assert_eq!((pixel(4, 1), pixel(6, 3)), ([30, 40, 50], [30, 40, 50]));
        assert_eq!(pixel(7, 2), [255; 3]);
        assert_eq!(pixel(8, 2), [60, 70, 80]);
        assert_eq!(pixel(1, 5), [120, 130, 140]);
        assert_eq!(pixel(8, 5), [255; 3]); // the empty fourth place
    }

    #[test]
    fn grey_images_are_grey() {
        let picture = grid(&[7, 200], 2, 1, 1, 1, 9, 1);
        assert_eq!(picture.dimensions(), (5, 3));
        assert_eq!((picture.get_pixel(1, 1).0, picture.get_pixel(3, 1).0), ([7; 3], [200; 3]));
        assert_eq!(grid(&[], 0, 8, 8, 3, 4, 1).dimensions(), (10, 10));
        assert_eq!([8, 28, 32, 64, 128].map(|side| scale_for(side, side)), [8, 3, 2, 1, 1]);
    }
}
