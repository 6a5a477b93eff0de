//! Ranks as threads.

use collective::{Engine, Group};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tape::Device;

/// How long a rank waits for another one. Nobody waits so long in a test that passes.
const DEADLINE: Duration = Duration::from_secs(60);

/// One of the ranks, on its own thread.
pub struct Rank {
    /// The ranks.
    pub group: Arc<dyn Group>,
    /// An executor of one thread, which adds up with the others.
    pub device: Box<dyn Device>,
}

/// Stands between an executor and the engine of its rank.
pub type Between<'a> = &'a (dyn Fn(usize, Box<dyn Engine>) -> Box<dyn Engine> + Sync);

/// Runs `body` as each of `world` ranks, with numbers of `real` bytes; what it gives, in their order.
pub fn ranks<R: Send>(world: usize, real: usize, body: impl Fn(Rank) -> R + Sync) -> Vec<R> {
    ranks_between(world, real, &|_, engine| engine, body)
}

/// The same with something between each executor and its engine.
pub fn ranks_between<R: Send>(
    world: usize,
    real: usize,
    between: Between<'_>,
    body: impl Fn(Rank) -> R + Sync,
) -> Vec<R> {
    let one = |group: Arc<dyn Group>, engine: Box<dyn Engine>| {
        let pool = cpu::pool(1).expect("a thread");
        let engine = between(group.rank(), engine);
        pool.install(|| {
            let device = cpu::of_ranks(Arc::clone(&pool), real, Some(engine));
            let result = body(Rank { group: Arc::clone(&group), device });
            // Whoever has failed has told so already.
            group.part().ok();
            result
        })
    };
    thread::scope(|scope| {
        let all = collective::local_ranks(world, DEADLINE);
        let start = |(group, engine)| scope.spawn(|| one(group, engine));
        let threads: Vec<_> = all.into_iter().map(start).collect();
        let joined: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let result =
            |joined: thread::Result<R>| joined.unwrap_or_else(|panic| resume_unwind(panic));
        joined.into_iter().map(result).collect()
    })
}

/// One rank by itself, as it is where there are no others.
pub fn alone<R: Send>(real: usize, body: impl FnOnce(Box<dyn Device>) -> R + Send) -> R {
    let pool = cpu::pool(1).expect("a thread");
    pool.install(|| body(cpu::device(Arc::clone(&pool), real)))
}
