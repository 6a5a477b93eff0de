//! What the thread and the callers of a group share.

use super::super::message::Doing;
use crate::watchdog::Watchdog;
use crate::{Kind, Lost, Member};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The ranks.
pub(in crate::tcp) struct Star {
    pub rank: usize,
    pub members: Vec<Member>,
    pub deadline: Duration,
}

impl Star {
    /// In words: a rank ends with an error of its own.
    pub fn failed(&self, rank: usize, why: &str) -> String {
        format!("{}: {why}", self.members[rank])
    }
}

/// What the thread is to do.
pub(in crate::tcp) enum Order {
    Gather { what: String, bytes: Vec<u8> },
    Part,
    Fail(String),
    Lose(Lost),
    Close,
}

pub(in crate::tcp) struct Shared {
    pub star: Star,
    pub watchdog: Watchdog,
    lost: OnceLock<Lost>,
    state: Mutex<State>,
    changed: Condvar,
    rope: UnixStream,
}

#[derive(Default)]
pub(in crate::tcp) struct State {
    pub orders: Vec<Order>,
    /// Everyone's part of the exchange.
    pub answer: Option<Vec<Vec<u8>>>,
    /// The exchange that this rank waits in, since when.
    exchange: Option<(String, Instant)>,
    /// All ranks have come to their end.
    pub parted: bool,
    /// Nobody is connected any more.
    pub alone: bool,
}

impl Shared {
    pub fn new(star: Star, rope: UnixStream, watchdog: Watchdog) -> Self {
        let (lost, state, changed) = (OnceLock::new(), Mutex::default(), Condvar::new());
        Self { star, watchdog, lost, state, changed, rope }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why ranks cannot go on, if they cannot.
    pub fn lost(&self) -> Option<Lost> {
        self.lost.get().cloned()
    }

    /// Tells the thread to do something.
    pub fn order(&self, order: Order) {
        self.state().orders.push(order);
        // If it is full, the thread will wake anyway.
        let _ = (&self.rope).write(&[0]);
    }

    /// Ranks cannot go on, as a caller has found out; the first reason counts, here at once.
    pub fn lose(&self, lost: Lost) {
        self.set_lost(lost.clone());
        self.order(Order::Lose(lost));
    }

    pub fn set_lost(&self, lost: Lost) {
        if self.lost.set(lost.clone()).is_ok() {
            match lost.kind {
                Kind::Failed => tracing::debug!("{lost}"),
                Kind::Peer | Kind::Disagree => tracing::debug!("ranks cannot go on: {lost}"),
            }
            self.watchdog.lost(&lost);
        }
        self.notify(|_| ());
    }

    /// This rank begins an exchange.
    pub fn begin(&self, what: &str) {
        let mut state = self.state();
        state.answer = None;
        state.exchange = Some((what.to_string(), Instant::now()));
    }

    /// It has ended, in whatever way.
    pub fn end(&self) {
        self.state().exchange = None;
    }

    pub fn answer(&self, words: Vec<Vec<u8>>) {
        self.notify(|state| state.answer = Some(words));
    }

    pub fn parted(&self) {
        self.notify(|state| state.parted = true);
    }

    pub fn alone(&self) {
        self.notify(|state| state.alone = true);
    }

    fn notify(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits at most so long until there is what is looked for.
    pub fn wait<T>(
        &self,
        most: Duration,
        mut found: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + most;
        let mut state = self.state();
        loop {
            if let Some(found) = found(&mut state) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What this rank does now, for the others.
    pub fn doing(&self) -> Doing {
        let (step, place) = self.watchdog.doing();
        let exchange = self.state().exchange.clone();
        let waits = match (exchange, place) {
            (Some((what, since)), _) => Some((format!("`{what}`"), since.elapsed())),
            (None, Some((place, since))) => Some((place.to_string(), since.elapsed())),
            (None, None) => None,
        };
        Doing { step, waits }
    }
}
