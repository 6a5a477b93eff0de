//! What ranks say to each other in words.

use crate::{Lost, Place};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One of the ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its rank.
    pub rank: usize,
    /// Its host's name.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Its number among the ranks of its host, in the order of ranks.
    pub local_rank: usize,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} (host {}, process {})", self.rank, self.host, self.pid)
    }
}

/// The ranks of a run, as one of them sees them. No gradient goes through it.
pub trait Group: Send + Sync {
    /// This rank.
    fn rank(&self) -> usize;

    /// All ranks, in order.
    fn members(&self) -> &[Member];

    /// Number of ranks.
    fn world(&self) -> usize {
        self.members().len()
    }

    /// Where rank 0 is met: what a service of rank 0 for the others binds to.
    fn address(&self) -> IpAddr;

    /// How long a rank waits for another one.
    fn deadline(&self) -> Duration;

    /// Everyone's words, in the order of ranks. All ranks call it, in the same order; `what` says what
    /// for, in errors.
    ///
    /// # Errors
    /// A peer that is lost, or that does not come before the deadline.
    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Lost>;

    /// Tells in which step this rank is, for the messages of those who lose it.
    fn step(&self, step: u64);

    /// From here on this rank waits for others there, until [`Group::leave_place`]: if that does not come
    /// long after the deadline, the process ends itself, with status 76.
    fn enter_place(&self, place: &Arc<Place>);

    /// It waits no longer.
    fn leave_place(&self);

    /// Whether all are still there; never waits.
    ///
    /// # Errors
    /// Why not; the same from then on.
    fn check(&self) -> Result<(), Lost>;

    /// Tells all others that this rank ends with an error of its own.
    fn fail(&self, why: &str);

    /// The last words: waits until all ranks have come here. Whoever ends without is lost to the others.
    ///
    /// # Errors
    /// A peer that is lost.
    fn part(&self) -> Result<(), Lost>;
}
