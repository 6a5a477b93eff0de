//! Ranks that are threads of this process.

use super::{Adds, Rank, is_told_by_others};
use crate::command::{Ended, Failure};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs `body` on so many threads. Where several fail, the error is that of the one with whom it began.
pub(super) fn run(
    world: usize,
    deadline: Duration,
    body: impl Fn(&Arc<Rank>) -> Result<Ended, Failure> + Sync,
) -> Result<Ended, Failure> {
    let ranks = collective::local_ranks(world, deadline).into_iter().map(|(group, engine)| {
        let adds = Adds::Threads(Some(engine));
        Arc::new(Rank::new(group, adds, true))
    });
    let body = &body;
    let ended: Vec<Result<Ended, Failure>> = thread::scope(|scope| {
        let begin = |(number, rank): (usize, Arc<Rank>)| {
            let thread = thread::Builder::new().name(format!("rank-{number}"));
            thread.spawn_scoped(scope, move || {
                let ended = body(&rank).and_then(|ended| rank.part().map(|()| ended));
                if let Err(error) = &ended
                    && !is_told_by_others(error)
                {
                    rank.group.fail(&error.to_string());
                }
                ended
            })
        };
        // Where a thread cannot be had, those before it learn it when its rank is dropped.
        let started: Vec<_> = ranks.enumerate().map(begin).collect();
        started
            .into_iter()
            .map(|thread| thread?.join().unwrap_or_else(|e| resume_unwind(e)))
            .collect()
    });
    let mut all = Vec::with_capacity(world);
    let mut told = None;
    for ended in ended {
        match ended {
            Ok(ended) => all.push(ended),
            Err(error) if is_told_by_others(&error) => told = told.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match told {
        Some(error) => Err(error),
        None => Ok(all.swap_remove(0)),
    }
}
