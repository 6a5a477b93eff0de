//! What can be wrong with a data set, said once and completely.

use std::io;
use std::path::{Path, PathBuf};

/// An error of this crate. Each names the file, the place in it, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "read", "rename to …".
        action: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {place}: found {found}, expected {expected}; {fix}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// The place in the file.
        place: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
        /// What to do about it.
        fix: String,
    },
    /// An import would overwrite a data set.
    #[error("{}: this exists already and an import never overwrites; delete it to import anew", .0.display())]
    Exists(PathBuf),
    /// A recipe contradicts itself.
    #[error("recipe `{recipe}`: {key}: {reason}")]
    Recipe {
        /// The recipe's name.
        recipe: String,
        /// The dotted key.
        key: String,
        /// What is wrong with its value and what would be right.
        reason: String,
    },
    /// No source of a recipe could deliver.
    #[error("recipe `{recipe}`: no source delivered {}\n{}\n{by_hand}", missing.join(", "), reasons.iter().map(|r| format!("  {r}")).collect::<Vec<_>>().join("\n"))]
    NoSource {
        /// The recipe's name.
        recipe: String,
        /// Files that are still missing.
        missing: Vec<String>,
        /// One line for each source and file: why not.
        reasons: Vec<String>,
        /// How to place the files by hand.
        by_hand: String,
    },
    /// A recipe of data that everybody has to get for themselves.
    #[error("recipe `{recipe}`: this data cannot be fetched for you\n{}", text.trim_end().lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n"))]
    ByHand {
        /// The recipe's name.
        recipe: String,
        /// Where it comes from, how large it is, and the command that follows.
        text: String,
    },
    /// The options of a loader do not fit together or do not fit the data.
    #[error("loader: {0}")]
    Options(String),
    /// The loader's thread ended; the text is its panic or its earlier error.
    #[error("loader: the background thread has stopped: {0}")]
    Stopped(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Turns an `io::Error` into [`Error::Io`]: `.map_err(io_error(path, "read"))`.
pub(crate) fn io_error(path: &Path, action: &str) -> impl FnOnce(io::Error) -> Error {
    let (path, action) = (path.to_owned(), action.to_owned());
    move |source| Error::Io { path, action, source }
}

/// Builds [`Error::Bad`].
pub(crate) fn bad(
    path: &Path,
    place: impl Into<String>,
    found: impl ToString,
    expected: impl ToString,
    fix: impl Into<String>,
) -> Error {
    Error::Bad {
        path: path.to_owned(),
        place: place.into(),
        found: found.to_string(),
        expected: expected.to_string(),
        fix: fix.into(),
    }
}
