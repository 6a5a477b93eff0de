//! How one of many ranks ends when something has gone wrong.

use super::Rank;
use crate::command::Failure;
use collective::{Kind, LOST_STATUS, Lost};
use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tape::DeviceError;
use train::TrainError;

/// How long a rank waits for the group to tell who is lost, when an engine has noticed it first.
const NEWS: Duration = Duration::from_secs(2);

/// The end of a process that is one rank of many: without the ends of libraries, which would wait for the
/// others.
#[derive(Debug)]
pub(crate) struct Leave {
    /// Exit status.
    pub code: u8,
    /// What is printed, where another rank does not say the same.
    pub message: Option<String>,
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("another rank has failed"))
    }
}

impl std::error::Error for Leave {}

impl Leave {
    /// Of a rank that has failed: tells the others, if they do not know.
    pub fn of(rank: &Rank, error: Failure) -> Self {
        let group = rank.group();
        let engine_lost = is_lost(&error);
        let begun = Instant::now();
        while engine_lost && group.check().is_ok() && begun.elapsed() < NEWS {
            sleep(Duration::from_millis(20));
        }
        let me = rank.me();
        match group.check() {
            Err(Lost { kind: Kind::Peer, message }) => {
                Self { code: LOST_STATUS, message: Some(format!("{me}: {message}")) }
            }
            // Whoever failed says so itself; the first says it once more, since people look there.
            Err(Lost { kind: Kind::Failed, message }) => {
                Self { code: 1, message: rank.is_first().then_some(message) }
            }
            Err(Lost { kind: Kind::Disagree, message }) => {
                Self { code: 1, message: Some(format!("{me}: {message}")) }
            }
            // The others find it out as this one did, or when it has gone.
            Ok(()) if engine_lost => {
                Self { code: LOST_STATUS, message: Some(format!("{me}: {error}")) }
            }
            Ok(()) => {
                let common =
                    error.downcast_ref::<TrainError>().is_some_and(TrainError::is_of_all_ranks);
                if common && !rank.is_first() {
                    return Self { code: 1, message: None };
                }
                group.fail(&error.to_string());
                let whose = if common { String::new() } else { format!("{me}: ") };
                Self { code: 1, message: Some(format!("{whose}{error}")) }
            }
        }
    }
}

/// Whether an engine could not go on since another rank does not.
fn is_lost(error: &Failure) -> bool {
    let device = error.downcast_ref::<DeviceError>();
    let device = device.or_else(|| match error.downcast_ref::<TrainError>() {
        Some(TrainError::Device(error)) => Some(error),
        _ => None,
    });
    matches!(device, Some(DeviceError::Lost(_)))
}

/// Whether the error is what another rank has said or done.
pub(crate) fn is_told_by_others(error: &Failure) -> bool {
    let lost = error.is::<Lost>();
    let told = match error.downcast_ref::<TrainError>() {
        Some(TrainError::Peers(refusal)) => refusal.is::<Lost>(),
        _ => false,
    };
    lost || told || is_lost(error)
}
