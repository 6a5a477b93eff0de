//! The sheet that every page is written on: style, script and pictures inside, nothing from outside.

use crate::aside;
use crate::command::Failure;
use crate::run_dir::at;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageReader, RgbImage};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::fs;
use std::path::{Path, PathBuf};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// A browser that is told this asks nobody for anything.
const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Writes a page as `report.html` of a folder.
pub(super) fn write(folder: &Path, title: &str, body: &Markup) -> Result<PathBuf, Failure> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "Duel " (env!("CARGO_PKG_VERSION")) };
                link rel="icon" href="data:,";
                title { (title) " · Duel" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer { "Made by " b { "Duel" } " " (env!("CARGO_PKG_VERSION")) " · one file, no network" }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let path = folder.join("report.html");
    aside::write(&path, page.into_string().as_bytes())?;
    Ok(path)
}

/// What a folder is called: its path below `runs`, or its own name.
pub(super) fn title(folder: &Path) -> Result<Vec<String>, Failure> {
    let whole = fs::canonicalize(folder).map_err(|e| at(folder, &e))?;
    let names: Vec<String> = whole.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let below = names.iter().rposition(|name| name == "runs").map(|at| &names[at + 1..]);
    Ok(match below {
        Some(below) if !below.is_empty() => below.to_vec(),
        _ => names.last().cloned().into_iter().collect(),
    })
}

/// A title as a heading, the folders above it fainter.
pub(super) fn heading(names: &[String]) -> Markup {
    let (last, above) = names.split_last().map_or(("", names), |(l, a)| (l.as_str(), a));
    html! { h1 { @for name in above { span.above { (name) " / " } } (last) } }
}

/// A picture as small as PNG gets without a loss.
pub(super) struct Png {
    bytes: Vec<u8>,
    size: [u32; 2],
}

impl Png {
    pub fn of(picture: &RgbImage) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let encoder =
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
        let picture = DynamicImage::ImageRgb8(picture.clone());
        let grey = picture.as_bytes().chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        if grey {
            DynamicImage::ImageLuma8(picture.to_luma8()).write_with_encoder(encoder)?;
        } else {
            picture.write_with_encoder(encoder)?;
        }
        Ok(Self { bytes, size: [picture.width(), picture.height()] })
    }

    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::of(&open(path)?)
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads a picture that a run has drawn.
pub(super) fn open(path: &Path) -> Result<RgbImage, Failure> {
    let bytes = fs::read(path).map_err(|e| at(path, &e))?;
    let mut reader = ImageReader::new(std::io::Cursor::new(bytes));
    reader.set_format(image::ImageFormat::Png);
    let picture = reader.decode().map_err(|e| {
        format!(
            "{}: found no picture ({e}), expected a PNG; delete it to report the others",
            path.display()
        )
    })?;
    Ok(picture.to_rgb8())
}

/// A picture in the page.
pub(super) fn picture(png: &Png, alt: &str) -> Markup {
    let [width, height] = png.size;
    html! {
        img src={ "data:image/png;base64," (STANDARD.encode(&png.bytes)) } width=(width) height=(height) alt=(alt);
    }
}

/// A section with a heading.
pub(super) fn section(class: &str, title: &str, body: &Markup) -> Markup {
    html! { section.{ (class) } { h2 { (title) } (body) } }
}
