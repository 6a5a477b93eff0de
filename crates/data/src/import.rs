//! From original files to shards. Importers stream: no data set has to fit in memory.

mod fit;
mod folder;
mod idx;
mod lmdb;
mod members;
mod picture;
mod pictures;
mod unfinished;
mod webp;

use std::num::NonZeroUsize;
use std::path::Path;

pub use folder::folder;
pub use idx::{Idx, idx};
pub use lmdb::lsun;
pub use pictures::{OnError, Pictures};
pub use unfinished::SKIPPED;

use members::{Archive, members};

use crate::error::{Error, Result};
use crate::fetch::Fetched;
use crate::manifest::Manifest;
use crate::recipe::{Importer, Members, Recipe};

/// Imports every split of a fetched recipe into `root/<name>/<split>`. Splits that are there already are
/// left alone. `threads` decode where there is something to decode. `progress` is told (split, images done,
/// images in all).
///
/// # Errors
/// As the importer's. Splits that were finished before the error stay.
pub fn recipe(
    recipe: &Recipe,
    fetched: &Fetched,
    root: &Path,
    threads: NonZeroUsize,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Vec<Manifest>> {
    recipe.check()?;
    let mut manifests = Vec::new();
    for (split, files) in &recipe.splits {
        let out = root.join(&recipe.name).join(split);
        if out.exists() {
            manifests.push(Manifest::read(&out)?);
            continue;
        }
        let path = |file: &String| {
            fetched.path(file).ok_or_else(|| Error::Recipe {
                recipe: recipe.name.clone(),
                key: format!("splits.{split}"),
                reason: format!("`{file}` was not fetched; fetch this recipe first"),
            })
        };
        let manifest = match recipe.importer {
            Importer::Idx => idx(
                &Idx {
                    image: Some(recipe.image),
                    classes: recipe.classes.clone(),
                    ..Idx::new(&recipe.name, split, path(&files.images)?, path(&files.labels)?)
                },
                &out,
                &mut |done, total| progress(split, done, total),
            )?,
            Importer::Members => {
                let archive = |from: &Members| {
                    let label = recipe.classes.iter().position(|class| *class == from.class);
                    let (path, under) = (path(&from.file)?.to_owned(), from.under.clone());
                    Ok(Archive { path, under, label: label.unwrap_or_default() as i32 })
                };
                let archives = files.archives.iter().map(archive).collect::<Result<_>>()?;
                let about = Pictures {
                    split: split.clone(),
                    threads,
                    ..Pictures::new(&recipe.name, Some(recipe.image[0]))
                };
                let mut progress = |done, total| progress(split, done, total);
                members(archives, &recipe.classes, &about, &out, &mut progress)?
            }
            // Fetching such a recipe is refused, and so there is nothing to import.
            Importer::Lsun => continue,
        };
        manifests.push(manifest);
    }
    Ok(manifests)
}
