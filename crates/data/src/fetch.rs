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
use crate::recipe::{FileEntry, Recipe, Source};
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
pub fn fetch(recipe: &Recipe, cache: &Path, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<Fetched> {
    fetch_with(&Tools::default(), recipe, cache, progress)
}

fn fetch_with(tools: &Tools, recipe: &Recipe, cache: &Path, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<Fetched> {
    recipe.check()?;
    fs::create_dir_all(cache).map_err(io_error(cache, "create"))?;
    let mut fetch = Fetch { recipe, cache, tools, reasons: Vec::new(), progress };
    let mut new = Vec::new();

    let mut missing = fetch.missing()?;
    for source in &recipe.sources {
        if missing.is_empty() {
            break;
        }
        let staging = tempfile::Builder::new().prefix(".fetch-").tempdir_in(cache).map_err(io_error(cache, "write into"))?;
        fetch.from(source, &missing, staging.path())?;
        let still = fetch.missing_now(&missing);
        new.extend(missing.into_iter().filter(|file| !still.contains(file)));
        missing = still;
    }
    if missing.is_empty() {
        let files = recipe.files.keys().map(|name| (name.clone(), cache.join(name))).collect();
        return Ok(Fetched { files, new });
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

/// One call of [`fetch`].
struct Fetch<'a> {
    recipe: &'a Recipe,
    cache: &'a Path,
    tools: &'a Tools,
    /// Why sources did not deliver.
    reasons: Vec<String>,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Fetch<'_> {
    /// Names of the files that are not in the cache, or not right.
    fn missing(&mut self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for (name, entry) in &self.recipe.files {
            let path = self.cache.join(name);
            let by_hand = self.cache.join(format!("{name}.gz"));
            if path.is_file() {
                match self.digest_of(&path, entry) {
                    Ok(()) => continue,
                    Err(reason) => self.reasons.push(format!("{}: {reason}", path.display())),
                }
            } else if by_hand.is_file() {
                let opened = File::open(&by_hand).map_err(io_error(&by_hand, "open"))?;
                let staging = tempfile::Builder::new().prefix(".fetch-").tempdir_in(self.cache).map_err(io_error(self.cache, "write into"))?;
                match self.accept(name, opened, staging.path())? {
                    Ok(()) => continue,
                    Err(reason) => self.reasons.push(format!("{}: {reason}", by_hand.display())),
                }
            }
            missing.push(name.clone());
        }
        Ok(missing)
    }

    /// Those of `names` that no source has delivered yet. A file in the cache that was there but wrong is
    /// replaced by the rename of a right one, so its presence says nothing: its length and digest do.
    fn missing_now(&self, names: &[String]) -> Vec<String> {
        let right = |name: &String| self.digest_of(&self.cache.join(name), &self.recipe.files[name]).is_ok();
        names.iter().filter(|name| !right(name)).cloned().collect()
    }

    fn digest_of(&self, path: &Path, entry: &FileEntry) -> Result<(), String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        copy_checked(&mut BufReader::with_capacity(1 << 18, file), entry, &mut std::io::sink())
    }

    /// Takes what `source` has of `names`. What it could not deliver becomes a reason.
    fn from(&mut self, source: &Source, names: &[String], staging: &Path) -> Result<()> {
        tracing::info!(source = source.title(), files = names.len(), "fetching");
        let title = source.title();
        let package = match source {
            Source::Https(https) => {
                for name in names {
                    let entry = &self.recipe.files[name];
                    let url = https.at.replace("{file}", name);
                    let limit = compressed_limit(entry.bytes);
                    let got = self.tools.curl(&url, limit, staging, &mut |bytes| (self.progress)(name, bytes, entry.bytes));
                    match got {
                        Ok(path) => {
                            let file = File::open(&path).map_err(io_error(&path, "open"))?;
                            let outcome = self.accept(name, file, staging)?;
                            self.note(&url, outcome);
                        }
                        Err(reason) => self.note(&url, Err(reason)),
                    }
                }
                return Ok(());
            }
            Source::Apt(apt) => self.tools.apt(&apt.package, self.cache, staging, &mut |bytes| (self.progress)(&title, bytes, 0)),
            Source::Npm(npm) => self.tools.npm(&npm.package, staging, &mut |bytes| (self.progress)(&title, bytes, 0)),
        };
        let package = match package {
            Ok(package) => package,
            Err(reason) => {
                self.note(&title, Err(reason));
                return Ok(());
            }
        };
        let (Source::Apt(crate::recipe::Apt { at, .. }) | Source::Npm(crate::recipe::Npm { at, .. })) = source else { return Ok(()) };
        let wanted: BTreeMap<String, String> = names.iter().map(|name| (at.replace("{file}", name), name.clone())).collect();
        let mut seen = Vec::new();
        let mut failed = None;
        let read = archive::members(package, &mut |member, content| {
            let Some(name) = wanted.get(member) else { return true };
            seen.push(name.clone());
            match self.accept(name, content, staging) {
                Ok(outcome) => self.note(&format!("{title}: {member}"), outcome),
                Err(error) => failed = Some(error),
            }
            failed.is_none() && seen.len() < wanted.len()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        self.note(&title, read);
        for (member, name) in &wanted {
            if !seen.contains(name) {
                self.note(&title, Err(format!("it holds no plain file {member}")));
            }
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
    fn accept(&mut self, name: &str, content: impl Read, staging: &Path) -> Result<Result<(), String>> {
        let entry = &self.recipe.files[name];
        let path = staging.join(format!("{name}.checked"));
        let mut out = File::create(&path).map_err(io_error(&path, "create"))?;
        let plain = gunzip::plain(BufReader::with_capacity(1 << 18, content));
        let copied = plain.map_err(|e| e.to_string()).and_then(|mut plain| copy_checked(&mut plain, entry, &mut out));
        if copied.is_err() {
            return Ok(copied);
        }
        out.sync_all().map_err(io_error(&path, "sync"))?;
        publish(&path, &self.cache.join(name))?;
        (self.progress)(name, entry.bytes, entry.bytes);
        Ok(Ok(()))
    }
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
