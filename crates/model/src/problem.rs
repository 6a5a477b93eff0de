//! What is wrong with a setting, in the words of the file.

use std::fmt;

/// A setting that cannot be: which key, what was found there, what may stand there, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, relative to the part that was checked.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub expected: String,
    /// What to do about it.
    pub fix: String,
}

impl Problem {
    /// A problem unless `fine`.
    ///
    /// # Errors
    /// The problem.
    pub fn unless(
        fine: bool,
        key: &str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
        fix: impl fmt::Display,
    ) -> Result<(), Self> {
        if fine {
            return Ok(());
        }
        Err(Self {
            key: key.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
            fix: fix.to_string(),
        })
    }

    /// The same problem, seen from the part that holds the checked one under `key`.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        self.key = format!("{key}.{}", self.key);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, found, expected, fix } = self;
        write!(f, "`{key}`: found {found}, expected {expected}; {fix}")
    }
}

impl std::error::Error for Problem {}
