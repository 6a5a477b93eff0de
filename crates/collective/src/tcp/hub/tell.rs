//! What is said of ranks that are lost, or late.

use super::super::message::Doing;
use super::super::roll::ranks;
use super::super::wire::Broken;
use super::{Hub, LONG};
use crate::watchdog::seconds;
use std::time::{Duration, Instant};

/// So many are spoken of one by one.
const SHOWN: usize = 4;

impl Doing {
    /// In words, so long after it was said.
    fn tell(&self, ago: Duration) -> String {
        match &self.waits {
            None => format!("step {}", self.step),
            Some((at, waited)) => {
                format!("step {}, waiting for {} at {at}", self.step, seconds(*waited + ago))
            }
        }
    }
}

impl Hub {
    /// Of a peer that has closed.
    pub(super) fn left(&self, at: usize, broken: &Broken) -> String {
        let peer = &self.peers[at];
        let who = &self.shared.star.members[peer.rank];
        let doing = peer.doing.tell(Duration::ZERO);
        match broken {
            Broken::Closed => format!(
                "{who} left early, in {doing}: its process ended without a last word. Look at what it says"
            ),
            broken => format!("{who} cannot be reached any more: {broken}. It was last in {doing}"),
        }
    }

    /// Of a peer that says nothing.
    pub(super) fn silent(&self, at: usize) -> String {
        let peer = &self.peers[at];
        let who = &self.shared.star.members[peer.rank];
        format!(
            "{who} has been silent for {}: it was stopped, or its host or network is down. It was last in {}",
            seconds(peer.heard.elapsed()),
            peer.doing.tell(Duration::ZERO)
        )
    }

    /// Of ranks that do not come to an exchange.
    pub(super) fn late(&self) -> String {
        let (what, missing) = self.round.missing();
        let doing = |rank: usize| {
            let who = &self.shared.star.members[rank];
            match self.peers.iter().find(|peer| peer.rank == rank) {
                Some(peer) => format!("{who} is in {}", peer.doing.tell(peer.said.elapsed())),
                None => format!("{who} is in {}", self.shared.doing().tell(Duration::ZERO)),
            }
        };
        let told: Vec<_> = missing.iter().take(SHOWN).map(|&rank| doing(rank)).collect();
        let deadline = seconds(self.shared.star.deadline);
        format!(
            "{} did not come to `{what}` within {deadline}: {}",
            ranks(&missing),
            told.join("; ")
        )
    }

    /// What all ranks do, once somebody waits for long.
    pub(super) fn summary(&self) -> String {
        let now = Instant::now();
        let mut all = vec![(0, self.shared.doing())];
        for peer in &self.peers {
            let mut doing = peer.doing.clone();
            if let Some((_, waited)) = &mut doing.waits {
                *waited += now.saturating_duration_since(peer.said);
            }
            all.push((peer.rank, doing));
        }
        let long = |doing: &Doing| doing.waits.as_ref().is_some_and(|(_, waited)| *waited > LONG);
        match all.iter().any(|(_, doing)| long(doing)) {
            true => summary(&all),
            false => String::new(),
        }
    }
}

/// Ranks that do the same, together.
fn summary(all: &[(usize, Doing)]) -> String {
    let mut groups: Vec<(Vec<usize>, &Doing)> = Vec::new();
    for (rank, doing) in all {
        let place = |doing: &Doing| doing.waits.as_ref().map(|(at, _)| at.clone());
        let same = groups
            .iter_mut()
            .find(|(_, other)| other.step == doing.step && place(other) == place(doing));
        match same {
            Some((ranks, _)) => ranks.push(*rank),
            None => groups.push((vec![*rank], doing)),
        }
    }
    let more = if groups.len() > SHOWN { "; and others" } else { "" };
    let told: Vec<_> = groups
        .iter()
        .take(SHOWN)
        .map(|(of, doing)| {
            let waits = if doing.waits.is_none() { ", not waiting" } else { "" };
            format!("{} in {}{waits}", ranks(of), doing.tell(Duration::ZERO))
        })
        .collect();
    format!("{}{more}", told.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_do_the_same_are_told_together() {
        let at = |step, at: Option<&str>| Doing {
            step,
            waits: at.map(|at| (at.to_string(), Duration::from_secs(30))),
        };
        let all = [(0, at(7, Some("`a`"))), (1, at(7, Some("`a`"))), (2, at(6, None))];
        assert_eq!(
            summary(&all),
            "ranks 0-1 in step 7, waiting for 30 s at `a`; rank 2 in step 6, not waiting"
        );
        let all: Vec<_> = (0..9).map(|rank| (rank, at(rank as u64, None))).collect();
        assert!(summary(&all).ends_with("rank 3 in step 3, not waiting; and others"));
    }
}
