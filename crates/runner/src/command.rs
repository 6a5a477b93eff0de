//! The commands, one file each.

pub(crate) mod ablate;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod doctor;
mod figures;
pub(crate) mod profile;
pub(crate) mod report;
pub(crate) mod resume;
pub(crate) mod runs;
pub(crate) mod sample;
pub(crate) mod scaling;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod train;

use std::io::Write;

/// Why a command ended early, in one message.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How a command ended.
pub(crate) enum Ended {
    /// It did what it was asked to.
    Done,
    /// A run stopped at a checkpoint and can be resumed.
    Stopped,
}

/// Prints a result. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}
