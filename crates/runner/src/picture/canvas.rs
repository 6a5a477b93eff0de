//! A drawing surface with smooth edges: drawn large, then averaged down.

use super::font;
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::io;

/// Pixels drawn per pixel kept, in each direction. Plotters does not smooth thick lines.
pub const S: u32 = 3;

/// Draws on a white surface of `width` × `height` final pixels; all lengths inside are times [`S`].
pub fn draw(width: u32, height: u32, paint: impl FnOnce(&Area) -> Drawn) -> io::Result<RgbImage> {
    font::register();
    let (wide, high) = (width * S, height * S);
    let mut pixels = vec![255u8; (wide * high * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (wide, high)).into_drawing_area();
        paint(&area)
            .and_then(|()| Ok(area.present()?))
            .map_err(|error| io::Error::other(format!("drawing a picture: {error}")))?;
    }
    Ok(average(&pixels, width, height))
}

fn average(pixels: &[u8], width: u32, height: u32) -> RgbImage {
    let s = S as usize;
    RgbImage::from_fn(width, height, |x, y| {
        let mut sum = [0u32; 3];
        for row in y as usize * s..(y as usize + 1) * s {
            for column in x as usize * s..(x as usize + 1) * s {
                let at = (row * width as usize * s + column) * 3;
                for (sum, &value) in sum.iter_mut().zip(&pixels[at..at + 3]) {
                    *sum += u32::from(value);
                }
            }
        }
        image::Rgb(sum.map(|sum| ((sum + S * S / 2) / (S * S)) as u8))
    })
}

/// The surface while it is drawn on.
pub type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// What drawing on it may return.
pub type Drawn = Result<(), Box<dyn Error>>;

/// Which point of a text is put where it is said to stand.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// The middle of its left edge.
    Left,
    /// The middle of its right edge.
    Right,
    /// Its middle.
    Middle,
}

fn px(n: f64) -> i32 {
    (n * f64::from(S)).round() as i32
}

/// A line through points, `width` final pixels wide; a single point becomes a dot.
pub fn line(
    area: &Area,
    points: &[(f64, f64)],
    colour: RGBColor,
    opacity: f64,
    width: f64,
) -> Drawn {
    let style = ShapeStyle {
        color: colour.mix(opacity),
        filled: false,
        stroke_width: px(width).max(1) as u32,
    };
    let points: Vec<(i32, i32)> = points.iter().map(|&(x, y)| (px(x), px(y))).collect();
    match points[..] {
        [point] => area.draw(&Circle::new(point, px(width), style.filled()))?,
        _ => area.draw(&PathElement::new(points, style))?,
    }
    Ok(())
}

/// A line of dashes and gaps of the given lengths along its way.
pub fn dashed(
    area: &Area,
    points: &[(f64, f64)],
    colour: RGBColor,
    width: f64,
    dash: f64,
    gap: f64,
) -> Drawn {
    let mut current = Vec::from_iter(points.first().copied());
    let (mut drawing, mut left) = (true, dash);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length < left {
                left -= length;
                current.push(to);
                break;
            }
            let part = left / length;
            from = (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            current.push(from);
            if drawing {
                line(area, &current, colour, 1.0, width)?;
            }
            current = vec![from];
            drawing = !drawing;
            left = if drawing { dash } else { gap };
        }
    }
    if drawing && current.len() > 1 {
        line(area, &current, colour, 1.0, width)?;
    }
    Ok(())
}

/// A filled polygon.
pub fn fill(area: &Area, points: &[(f64, f64)], colour: RGBColor) -> Drawn {
    let points: Vec<(i32, i32)> = points.iter().map(|&(x, y)| (px(x), px(y))).collect();
    Ok(area.draw(&Polygon::new(points, colour.filled()))?)
}

/// A text of `size` final pixels.
pub fn write(
    area: &Area,
    text: &str,
    at: (f64, f64),
    anchor: Anchor,
    size: f64,
    colour: RGBColor,
) -> Drawn {
    let position = match anchor {
        Anchor::Left => Pos::new(HPos::Left, VPos::Center),
        Anchor::Right => Pos::new(HPos::Right, VPos::Center),
        Anchor::Middle => Pos::new(HPos::Center, VPos::Center),
    };
    let style = (font::FAMILY, size * f64::from(S)).into_font().color(&colour).pos(position);
    Ok(area.draw(&Text::new(text.to_owned(), (px(at.0), px(at.1)), style))?)
}

/// The width of a text in final pixels.
pub fn width_of(text: &str, size: f64) -> f64 {
    font::register();
    let style = (font::FAMILY, size * f64::from(S)).into_font();
    style.box_size(text).map_or(0.0, |(wide, _)| f64::from(wide) / f64::from(S))
}

/// The grey of axes and text.
pub const INK: RGBColor = RGBColor(38, 38, 44);
/// The grey of grid lines.
pub const FAINT: RGBColor = RGBColor(229, 231, 235);
