//! How to wait for what only happens while one looks at it.

use crate::Member;
use std::fs;
use std::time::{Duration, Instant};

/// So long a rank keeps its core, whose peers have cores of their own: longer than a segment takes within a
/// machine. Who gives a core up on a busy machine gets it back milliseconds later.
const SPIN: Duration = Duration::from_millis(2);
/// So long one whose peers need it: shorter than giving it up takes.
const POLITE: Duration = Duration::from_micros(20);
/// So long a wait may be for a rank of this machine, which needs a core and then answers at once.
const YIELD: Duration = Duration::from_millis(10);
/// Then it is for a network or for a late rank.
const SLEEP: Duration = Duration::from_micros(50);

/// Pauses between looks that become longer.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    since: Instant,
    spin: Duration,
}

impl Patience {
    /// From now on, for a rank with these peers on its machine, itself included.
    pub fn among(here: usize) -> Self {
        let spin = if here > processors() { POLITE } else { SPIN };
        Self { since: Instant::now(), spin }
    }

    /// From now on, giving the core up soon.
    pub fn polite() -> Self {
        Self { since: Instant::now(), spin: POLITE }
    }

    /// Something has happened, or is to happen soon: it may go on fast.
    pub fn renew(&mut self) {
        self.since = Instant::now();
    }

    /// Until the next look.
    pub fn pause(&self) {
        match self.since.elapsed() {
            waited if waited < self.spin => std::hint::spin_loop(),
            waited if waited < YIELD => std::thread::yield_now(),
            _ => std::thread::sleep(SLEEP),
        }
    }
}

/// Ranks on the machine of one of them.
pub(super) fn beside(members: &[Member], rank: usize) -> usize {
    let host = |rank: usize| members.get(rank).map(|member| &member.host);
    (0..members.len()).filter(|other| host(*other) == host(rank)).count()
}

/// The machine's processors; not only those that this process may use, as launchers give each rank its own.
fn processors() -> usize {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    count(online.trim())
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// How many numbers a list such as `0-3,8` has.
fn count(list: &str) -> Option<usize> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let [first, last]: [usize; 2] = [first.parse().ok()?, last.parse().ok()?];
        (last + 1).checked_sub(first)
    };
    list.split(',').map(range).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,8"), Some(5));
        assert_eq!(count("0-1,4-7"), Some(6));
        assert_eq!(count(""), None);
        assert_eq!(count("3-1"), None);
        assert!(processors() >= 1);
    }

    #[test]
    fn ranks_of_a_machine_are_counted() {
        let member = |(rank, host): (usize, &&str)| Member {
            rank,
            host: (*host).to_string(),
            pid: 1,
            local_rank: 0,
        };
        let members: Vec<_> = ["a", "b", "a"].iter().enumerate().map(member).collect();
        assert_eq!([0, 1, 2].map(|rank| beside(&members, rank)), [2, 1, 2]);
    }

    #[test]
    fn crowded_ranks_give_their_cores_up() {
        assert_eq!(Patience::among(1).spin, SPIN);
        assert_eq!(Patience::among(processors() + 1).spin, POLITE);
    }
}
