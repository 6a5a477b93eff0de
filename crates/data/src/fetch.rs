//! Brings the files of a recipe into a cache: fetched by the tools people have, checked by us.
//!
//! The cache holds the files uncompressed under their own names, so that `sha256sum` on one prints what
//! the recipe says. A file appears there only whole, checked and synced.

mod archive;
mod tool;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::aside::publish;
use crate::digest::Digesting;
use crate::error::{Error, Result, io_error};
use crate::gunzip;
use crate::recipe::{FileEntry, Npm, Recipe, Source};
use archive::Package;
pub(crate) use archive::tar;
use tempfile::TempDir;
use tool::Tools;

/// The files of a recipe in a cache, all of them checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The path of each file by its name in the recipe.
    pub files: BTreeMap<String, PathBuf>,
    /// Names of the files that this call brought in; the others were there already.
    pub new: Vec<String>,
}

impl Fetched {
    /// Where the file called `name` is.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.files.get(name).map(PathBuf::as_path)
    }
}

/// Brings every file of `recipe` into the folder `cache` and checks length and SHA-256. Files that are there
/// and right are kept; so are `NAME.gz` placed by hand, which are uncompressed. `progress` is told (what,
/// bytes done, bytes in all).
///
/// # Errors
/// A recipe that contradicts itself, a cache that cannot be written, or no source that delivers: that error
/// lists what each source said and how to place the files by hand.
pub fn fetch(
    recipe: &Recipe,
    cache: &Path,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Fetched> {
    fetch_with(&Tools::default(), recipe, cache, progress)
}

fn fetch_with(
    tools: &Tools,
    recipe: &Recipe,
    cache: &Path,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Fetched> {
    recipe.check()?;
    if let Some(text) = &recipe.by_hand {
        return Err(Error::ByHand { recipe: recipe.name.clone(), text: text.clone() });
    }
    fs::create_dir_all(cache).map_err(io_error(cache, "create"))?;
    let mut fetch = Fetch { recipe, cache, tools, new: Vec::new(), reasons: Vec::new(), progress };

    let mut missing = fetch.look()?;
    for source in &recipe.sources {
        if missing.is_empty() {
            break;
        }
        let staging = staging(cache)?;
        fetch.from(source, &missing, staging.path())?;
        missing.retain(|name| !fetch.new.contains(name));
    }
    if missing.is_empty() {
        let files = recipe.files.keys().map(|name| (name.clone(), cache.join(name))).collect();
        return Ok(Fetched { files, new: fetch.new });
    }
    Err(Error::NoSource {
        recipe: recipe.name.clone(),
        by_hand: format!(
            "if you have them, put {} into {}, gzipped with the suffix .gz or not, and run the command again",
            missing.join(", "),
            cache.display()
        ),
        missing,
        reasons: fetch.reasons,
    })
}

/// A folder in the cache for what is not checked yet. It removes itself.
fn staging(cache: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(cache)
        .map_err(io_error(cache, "write into"))
}

/// One call of [`fetch`].
struct Fetch<'a> {
    recipe: &'a Recipe,
    cache: &'a Path,
    tools: &'a Tools,
    /// Names of the files that were brought in.
    new: Vec<String>,
    /// Why sources did not deliver.
    reasons: Vec<String>,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Fetch<'_> {
    /// Looks into the cache: takes what was placed there by hand, and returns the names of the files that
    /// are not there or not right.
    fn look(&mut self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for (name, entry) in &self.recipe.files {
            let plain = self.cache.join(name);
            let gzipped = self.cache.join(format!("{name}.gz"));
            let outcome = if plain.is_file() {
                let file = open(&plain)?;
                copy_checked(
                    &mut BufReader::with_capacity(1 << 18, file),
                    entry,
                    &mut std::io::sink(),
                )
                .map_err(|reason| format!("{}: {reason}", plain.display()))
            } else if gzipped.is_file() {
                let staging = staging(self.cache)?;
                self.accept(name, open(&gzipped)?, staging.path())?
                    .map_err(|reason| format!("{}: {reason}", gzipped.display()))
            } else {
                Err(String::new())
            };
            if let Err(reason) = outcome {
                missing.push(name.clone());
                self.reasons.extend((!reason.is_empty()).then_some(reason));
            }
        }
        Ok(missing)
    }

    /// Takes what `source` has of `names`. What it could not deliver becomes a reason.
    fn from(&mut self, source: &Source, names: &[String], staging: &Path) -> Result<()> {
        let title = source.title();
        tracing::info!(source = title, files = names.len(), "fetching");
        let progress = &mut *self.progress;
        let mut arrived = |bytes| progress(&title, bytes, 0);
        match source {
            Source::Https(https) => {
                for name in names {
                    // Where one file cannot be had, asking for the others would only cost time.
                    if !self.download(&https.at, name, staging)? {
                        break;
                    }
                }
                Ok(())
            }
            Source::Apt(apt) => {
                let package = self.tools.apt(&apt.package, self.cache, staging, &mut arrived);
                self.pick(&title, package, &apt.at, names, staging)
            }
            Source::Npm(Npm { package, at: Some(at), .. }) => {
                let package = self.tools.npm(package, staging, &mut arrived);
                self.pick(&title, package, at, names, staging)
            }
            Source::Npm(Npm { package, file, .. }) => {
                let Some(file) = file.as_ref().filter(|file| names.contains(file)) else {
                    return Ok(());
                };
                let outcome = match self.tools.npm(package, staging, &mut arrived) {
                    Ok(package) => self.accept(file, open(package.path())?, staging)?,
                    Err(reason) => Err(reason),
                };
                self.note(&title, outcome);
                Ok(())
            }
        }
    }

    /// Takes one file from an address. False if nothing could be had there at all.
    fn download(&mut self, at: &str, name: &str, staging: &Path) -> Result<bool> {
        let bytes = self.recipe.files[name].bytes;
        let url = at.replace("{file}", name);
        let progress = &mut *self.progress;
        let got = self
            .tools
            .curl(&url, compressed_limit(bytes), staging, &mut |done| progress(name, done, bytes));
        let reached = got.is_ok();
        let outcome = match got {
            Ok(path) => self.accept(name, open(&path)?, staging)?,
            Err(reason) => Err(reason),
        };
        self.note(&url, outcome);
        Ok(reached)
    }

    /// Takes the files called `names` from a package, where they lie `at` a path.
    fn pick(
        &mut self,
        title: &str,
        package: Result<Package, String>,
        at: &str,
        names: &[String],
        staging: &Path,
    ) -> Result<()> {
        let mut wanted: BTreeMap<String, &String> =
            names.iter().map(|name| (at.replace("{file}", name), name)).collect();
        let mut failed = None;
        let read = package.and_then(|package| {
            archive::members(&package, &mut |member, content| {
                if let Some(name) = wanted.remove(member) {
                    match self.accept(name, content, staging) {
                        Ok(outcome) => self.note(&format!("{title}: {member}"), outcome),
                        Err(error) => failed = Some(error),
                    }
                }
                failed.is_none() && !wanted.is_empty()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match read {
            Ok(()) => wanted.keys().for_each(|member| {
                self.note(title, Err(format!("it holds no plain file {member}")))
            }),
            Err(reason) => self.note(title, Err(reason)),
        }
        Ok(())
    }

    fn note(&mut self, place: &str, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            tracing::warn!(place, reason, "a source failed");
            self.reasons.push(format!("{place}: {reason}"));
        }
    }

    /// Uncompresses `content`, checks it, and gives it its name in the cache. The outer error is the
    /// cache's, the inner one the content's.
    fn accept(
        &mut self,
        name: &str,
        content: impl Read,
        staging: &Path,
    ) -> Result<Result<(), String>> {
        let entry = &self.recipe.files[name];
        let path = staging.join(format!("{name}.checked"));
        let mut out = File::create(&path).map_err(io_error(&path, "create"))?;
        let plain = gunzip::plain(BufReader::with_capacity(1 << 18, content));
        let copied = plain
            .map_err(|e| e.to_string())
            .and_then(|mut plain| copy_checked(&mut plain, entry, &mut out));
        if copied.is_err() {
            return Ok(copied);
        }
        out.sync_all().map_err(io_error(&path, "sync"))?;
        publish(&path, &self.cache.join(name))?;
        (self.progress)(name, entry.bytes, entry.bytes);
        self.new.push(name.to_owned());
        Ok(Ok(()))
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(io_error(path, "open"))
}

/// Copies `from` to `to` and checks it on the way; never writes more than one byte too many.
fn copy_checked(from: &mut dyn Read, entry: &FileEntry, to: &mut dyn Write) -> Result<(), String> {
    let mut from = Digesting::new(from.take(entry.bytes.saturating_add(1)));
    std::io::copy(&mut from, to).map_err(|e| e.to_string())?;
    if from.bytes != entry.bytes {
        let found = if from.bytes > entry.bytes { "more".into() } else { from.bytes.to_string() };
        return Err(format!("found {found} bytes uncompressed, expected {}", entry.bytes));
    }
    let found = from.finish();
    if found != entry.sha256 {
        return Err(format!("found SHA-256 {found}, expected {}", entry.sha256));
    }
    Ok(())
}

/// The most that a gzipped file of `bytes` can be: deflate stores what it cannot compress, and adds little.
fn compressed_limit(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 256).saturating_add(1 << 16)
}

#[cfg(test)]
#[path = "fetch/tests.rs"]
mod tests;
