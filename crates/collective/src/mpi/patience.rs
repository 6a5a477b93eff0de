//! How to wait for what only happens while one looks at it.

use std::time::{Duration, Instant};

/// So long a wait is shorter than giving up the core.
const SPIN: Duration = Duration::from_micros(20);
/// So long a wait may be for a rank of this machine, which needs a core, and which answers at once.
const YIELD: Duration = Duration::from_millis(5);
/// Then it is for a network or for a late rank.
const SLEEP: Duration = Duration::from_micros(50);

/// Pauses between looks that become longer.
pub(super) struct Patience {
    since: Instant,
}

impl Patience {
    /// From now on.
    pub fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// Something has happened: it may go on fast.
    pub fn renew(&mut self) {
        self.since = Instant::now();
    }

    /// Until the next look.
    pub fn pause(&self) {
        match self.since.elapsed() {
            waited if waited < SPIN => std::hint::spin_loop(),
            waited if waited < YIELD => std::thread::yield_now(),
            _ => std::thread::sleep(SLEEP),
        }
    }
}
