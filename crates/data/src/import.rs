//! From original files to shards. Importers stream: no data set has to fit in memory.

mod idx;

use std::path::Path;

pub use idx::{Idx, idx};

use crate::error::{Error, Result};
use crate::fetch::Fetched;
use crate::manifest::Manifest;
use crate::recipe::{Importer, Recipe};

/// Imports every split of a fetched recipe into `root/<name>/<split>`. Splits that are there already are
/// left alone. `progress` is told (split, images done, images in all).
///
/// # Errors
/// As the importer's. Splits that were finished before the error stay.
pub fn recipe(
    recipe: &Recipe,
    fetched: &Fetched,
    root: &Path,
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
        };
        manifests.push(manifest);
    }
    Ok(manifests)
}
