//! An exchange, as rank 0 collects it.

use super::shared::Star;
use crate::{Kind, Lost};
use std::time::Instant;

/// A rank's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// These bytes, for everyone.
    Gather { what: String, bytes: Vec<u8> },
    /// It has come to its end.
    Part,
}

impl Words {
    /// What the exchange is about.
    fn what(&self) -> &str {
        match self {
            Self::Gather { what, .. } => what,
            Self::Part => "the end",
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gather { what: one, .. }, Self::Gather { what: two, .. }) => one == two,
            (Self::Part, Self::Part) => true,
            _ => false,
        }
    }
}

/// The exchange that is under way; one at a time.
pub(super) struct Round {
    came: Vec<Option<Words>>,
    since: Option<Instant>,
}

impl Round {
    pub fn new(world: usize) -> Self {
        Self { came: vec![None; world], since: None }
    }

    /// When the first one came.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// What it is about, and who has not come.
    pub fn missing(&self) -> (&str, Vec<usize>) {
        let what = self.came.iter().flatten().next().map_or("", Words::what);
        let missing = (0..self.came.len()).filter(|&rank| self.came[rank].is_none());
        (what, missing.collect())
    }

    /// Somebody has come; what it is about, once all have.
    pub fn arrive(
        &mut self,
        rank: usize,
        words: Words,
        star: &Star,
    ) -> Result<Option<Words>, Lost> {
        let first = (0..self.came.len()).find_map(|rank| Some((rank, self.came[rank].as_ref()?)));
        if let Some((other, first)) = first
            && (!first.is_like(&words) || self.came[rank].is_some())
        {
            let [one, two] = [other, rank].map(|rank| &star.members[rank]);
            let text = format!(
                "ranks do not do the same: {one} is at `{}`, and {two} is at `{}`",
                first.what(),
                words.what()
            );
            return Err(Lost::new(Kind::Disagree, text));
        }
        self.since.get_or_insert_with(Instant::now);
        self.came[rank] = Some(words);
        let all = self.came.iter().all(Option::is_some);
        if all {
            self.since = None;
        }
        Ok(if all { self.came[rank].clone() } else { None })
    }

    /// Everyone's bytes, in order. The next exchange may begin.
    pub fn finish(&mut self) -> Vec<Vec<u8>> {
        let bytes = |words: Option<Words>| match words {
            Some(Words::Gather { bytes, .. }) => bytes,
            Some(Words::Part) | None => Vec::new(),
        };
        self.came.iter_mut().map(|came| bytes(came.take())).collect()
    }
}
