//! The pictures of samples along training, as many as keep the page small.

use super::evenly;
use super::figures::grouped;
use super::frames::{Frame, frames};
use super::page::{Png, picture};
use crate::command::Failure;
use crate::run_dir::pictures;
use maud::{Markup, html};
use std::path::Path;

/// Pictures of a page,
const MOST: usize = 40;
/// and their bytes.
const BYTES: usize = 6_000_000;

/// The pictures with a slider, and a line that says which they are.
pub(super) fn grids(run: &Path, what: &str) -> Result<Markup, Failure> {
    let files = pictures(run)?;
    if files.is_empty() {
        return Ok(html! { p.note { "No samples were drawn yet." } });
    }
    let mut drawn = Vec::new();
    for i in evenly(files.len(), MOST) {
        let (images, path) = &files[i];
        drawn.push((*images, Png::read(path)?));
    }
    let bytes: usize = drawn.iter().map(|(_, png)| png.len()).sum();
    let fit = if bytes > BYTES { (drawn.len() * BYTES / bytes).max(2) } else { drawn.len() };
    let kept = evenly(drawn.len(), fit);
    let frame = |&i: &usize| {
        let at = format!("{} images", grouped(drawn[i].0));
        let alt = format!("{what} after {at}");
        Frame { picture: picture(&drawn[i].1, &alt), at }
    };
    let shown: Vec<Frame> = kept.iter().map(frame).collect();
    Ok(html! {
        (frames(what, &shown))
        @if shown.len() < files.len() {
            p.note { (shown.len()) " of " (files.len()) " pictures, evenly chosen; all are in " code { "samples/" } "." }
        }
    })
}
