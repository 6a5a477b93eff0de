//! The other ranks of a run, for words: gradients and statistics go through the device.

use crate::Refusal;

/// All ranks of a run, as one of them sees them. Whatever ranks decide together is decided by the first
/// and told to the others, so that they decide the same although their processors may not round alike.
pub trait Peers: Sync {
    /// This rank.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn world(&self) -> usize;

    /// Tells how many iterations this rank has done.
    fn step(&self, step: u64);

    /// Everyone's words, in the order of ranks. All ranks call it, in the same order; `what` says what
    /// about.
    ///
    /// # Errors
    /// A rank that is lost, or that has failed.
    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Refusal>;
}

/// One rank by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Peers for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn step(&self, _step: u64) {}

    fn all_gather(&self, _what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        Ok(vec![mine.to_vec()])
    }
}

impl dyn Peers + '_ {
    /// Whether this rank is the one that decides, writes and shows.
    pub(crate) fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// What the first rank says.
    pub(crate) fn first<E: From<Lost>>(
        &self,
        what: &str,
        says: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let mine = if self.is_first() { says()? } else { Vec::new() };
        if self.world() == 1 {
            return Ok(mine);
        }
        let mut all = self.all_gather(what, &mine).map_err(Lost)?;
        Ok(all.swap_remove(0))
    }
}

/// Ranks that cannot go on together.
#[derive(Debug)]
pub(crate) struct Lost(pub Refusal);
