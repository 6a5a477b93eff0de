//! `duel data import lsun` and `folder`: pictures that people have themselves.

use crate::bar::Bar;
use crate::cli::{Globals, OnError, Original, Pictures};
use crate::command::{Failure, print};
use data::{Manifest, import};
use std::num::NonZeroUsize;
use std::path::Path;

/// The largest height and width of a row.
const LARGEST: usize = 4096;

pub(super) fn import(globals: &Globals, original: &Original) -> Result<(), Failure> {
    match original {
        Original::Lsun { path, category, size, name, pictures } => {
            let name = name.clone().unwrap_or_else(|| format!("lsun_{category}_{size}"));
            let about = about(globals, &name, Some(*size), pictures)?;
            split(globals, &about, "lsun", |out, progress| {
                import::lsun(path, category, &about, out, progress)
            })
        }
        Original::Folder { path, size, name, pictures } => {
            let about = about(globals, name, *size, pictures)?;
            split(globals, &about, "folder", |out, progress| {
                import::folder(path, &about, out, progress)
            })
        }
    }
}

/// Threads to decode with.
pub(super) fn threads(globals: &Globals) -> NonZeroUsize {
    NonZeroUsize::new(globals.cores()).unwrap_or(NonZeroUsize::MIN)
}

fn about(
    globals: &Globals,
    name: &str,
    size: Option<usize>,
    pictures: &Pictures,
) -> Result<import::Pictures, Failure> {
    for (option, value) in [("--name", name), ("--split", &pictures.split)] {
        if !data::is_name(value) {
            let expected = "letters, digits, `-`, `_` and `.`, beginning with a letter or a digit";
            return Err(format!("{option}: found `{value}`, expected {expected}").into());
        }
    }
    if let Some(size) = size.filter(|size| !(1..=LARGEST).contains(size)) {
        return Err(format!("--size: found {size}, expected 1 to {LARGEST}").into());
    }
    Ok(import::Pictures {
        split: pictures.split.clone(),
        on_error: match pictures.on_error {
            OnError::Fail => import::OnError::Fail,
            OnError::Skip => import::OnError::Skip,
        },
        threads: threads(globals),
        ..import::Pictures::new(name, size)
    })
}

/// Imports a split, or leaves it alone if it is there already and what is asked for.
fn split(
    globals: &Globals,
    about: &import::Pictures,
    importer: &str,
    import: impl FnOnce(&Path, &mut dyn FnMut(u64, u64)) -> data::Result<Manifest>,
) -> Result<(), Failure> {
    let out = globals.data.join(&about.name).join(&about.split);
    if out.exists() {
        there(&Manifest::read(&out)?, about, importer, &out)?;
        eprintln!("{}: there already", out.display());
        print(out.display());
        return Ok(());
    }
    let mut bar = Bar::new("images");
    let mut kept = None;
    let manifest = import(&out, &mut |done, total| {
        let before = *kept.get_or_insert(done);
        if before > 0 && done == before {
            eprintln!("{}: going on after {done} of {total} images", out.display());
        }
        bar.update(&about.split, done, total);
    });
    bar.finish();
    let manifest = manifest?;
    eprintln!("{}: {} images", out.display(), manifest.rows);
    if manifest.skipped > 0 {
        let list = out.join(import::SKIPPED);
        eprintln!("{}: {} pictures were skipped", list.display(), manifest.skipped);
    }
    print(out.display());
    Ok(())
}

fn there(
    manifest: &Manifest,
    about: &import::Pictures,
    importer: &str,
    out: &Path,
) -> Result<(), Failure> {
    let [height, width, _] = manifest.shape;
    let size = about.size.is_none_or(|size| [height, width] == [size; 2]);
    if manifest.importer == importer && size {
        return Ok(());
    }
    let (out, found) = (out.display(), format!("{width}×{height} by `{}`", manifest.importer));
    Err(format!(
        "{out}: found {found}, expected what is asked for; delete it or give another --name"
    )
    .into())
}
