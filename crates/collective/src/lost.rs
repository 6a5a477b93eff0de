//! Why ranks cannot go on together.

/// Exit status of a process that ends since it has lost another rank.
pub const LOST_STATUS: u8 = 76;

/// A rank that cannot go on since another one does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Lost {
    /// What happened.
    pub kind: Kind,
    /// In words: which rank, on which host, and when, doing what, for how long.
    pub message: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A peer died, was stopped, left early or cannot be reached. Run it again.
    Peer,
    /// A peer has ended with an error of its own, which it has told.
    Failed,
    /// Ranks do not do the same.
    Disagree,
}

impl Lost {
    /// With these words.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
