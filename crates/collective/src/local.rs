//! Ranks that are threads of one process: their group, and sums in a fixed order.

mod group;
mod sums;

#[cfg(test)]
mod tests;

use crate::{Engine, Group, Lost};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use group::{LocalGroup, Words};
use sums::{Sum, ThreadSums};

/// As many ranks as asked for, in order; each goes to a thread of its own. A rank that is dropped without
/// [`Group::part`] is lost to the others.
pub fn ranks(world: usize, deadline: Duration) -> Vec<(Arc<dyn Group>, Box<dyn Engine>)> {
    assert!(world > 0, "a world has at least one rank");
    let room = Arc::new(Room {
        world,
        deadline,
        steps: (0..world).map(|_| AtomicU64::new(0)).collect(),
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let rank = |rank| {
        let group: Arc<dyn Group> = Arc::new(LocalGroup::new(&room, rank));
        let engine: Box<dyn Engine> = Box::new(ThreadSums::new(&room, rank));
        (group, engine)
    };
    (0..world).map(rank).collect()
}

/// What the ranks share.
struct Room {
    world: usize,
    deadline: Duration,
    /// Where each rank is.
    steps: Vec<AtomicU64>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Why the ranks do not go on, once they do not.
    lost: Option<Lost>,
    /// Words that not all have said or heard, by their number.
    words: BTreeMap<u64, Words>,
    /// Sums that not all have begun or taken, by their number.
    sums: BTreeMap<u64, Sum>,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A rank that panics says so by `lost` when its group is dropped.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers why the ranks do not go on: the first reason is the one that tells something.
    fn lose(&self, state: &mut State, lost: Lost) -> Lost {
        let lost = state.lost.get_or_insert(lost).clone();
        self.changed.notify_all();
        lost
    }

    /// Waits until `ready` gives something; `late` says what happened if it does not before the deadline.
    fn wait<R>(
        &self,
        mut ready: impl FnMut(&mut State) -> Option<R>,
        late: impl FnOnce(&State) -> Lost,
    ) -> Result<R, Lost> {
        let end = Instant::now() + self.deadline;
        let mut state = self.lock();
        loop {
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            if let Some(result) = ready(&mut state) {
                return Ok(result);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let lost = late(&state);
                return Err(self.lose(&mut state, lost));
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Ranks, for people: `rank 2`, `ranks 2, 3`.
fn told(ranks: &[usize]) -> String {
    let list: Vec<String> = ranks.iter().map(usize::to_string).collect();
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, list.join(", "))
}
