//! The ranks of a run: threads of this process, or processes that a launcher has started.

mod agree;
mod engines;
mod launched;
mod leave;
mod seen;
mod threads;

use crate::command::{Ended, Failure};
use collective::{Engine, Group, Launch, Member, mpi::Mpi};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use train::{Peers, Refusal};

pub(crate) use leave::{Leave, is_told_by_others};
pub(crate) use seen::Seen;

/// How long a rank waits for another one, unless `DUEL_DEADLINE` says so: longer than a checkpoint takes on a
/// slow disk.
const DEADLINE: Duration = Duration::from_secs(300);

/// One rank of a run, as it sees itself and the others.
pub(crate) struct Rank {
    group: Arc<dyn Group>,
    adds: Mutex<Adds>,
    /// Whether all ranks are in this process.
    threads: bool,
    parted: AtomicBool,
}

/// What adds up on cores.
enum Adds {
    /// Threads, with their engine until a device takes it.
    Threads(Option<Box<dyn Engine>>),
    /// MPI that is started.
    Mpi(Arc<Mpi>),
    /// MPI, once a device needs it: that of the launcher, or one that finds its ranks through us.
    NotYet {
        /// Whether the launcher is MPI's.
        native: bool,
    },
}

/// Runs `body` as the ranks that were asked for: those of a launcher, `wanted` threads, or one. It ends
/// when all of them have ended.
///
/// # Errors
/// A launcher that contradicts itself or what was asked for; ranks that do not meet; those of `body`.
pub(crate) fn start(
    wanted: usize,
    body: impl Fn(&Arc<Rank>) -> Result<Ended, Failure> + Sync,
) -> Result<Ended, Failure> {
    let launch = launch()?;
    match (launch.world, wanted) {
        (1, 1) => body(&Rank::alone()),
        (1, threads) => threads::run(threads, deadline()?, body),
        (world, threads) if threads == 1 || threads == world => launched::run(&launch, body),
        (world, threads) => Err(format!(
            "`ranks` is {threads}, and {} has started {world} ranks: leave `ranks` out, or start {threads}",
            launch.launcher
        )
        .into()),
    }
}

/// Who started this process.
pub(crate) fn launch() -> Result<Launch, Failure> {
    Ok(Launch::detect(|name| std::env::var(name).ok())?)
}

/// `DUEL_DEADLINE`, or what it is without.
fn deadline() -> Result<Duration, Failure> {
    let Ok(text) = std::env::var("DUEL_DEADLINE") else { return Ok(DEADLINE) };
    let seconds = text.parse::<f64>().ok().filter(|s| (1.0..=86_400.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        format!("DUEL_DEADLINE is `{text}`: expected seconds, from 1 to 86400, such as 300").into()
    })
}

impl Rank {
    /// The only one.
    pub fn alone() -> Arc<Self> {
        let (group, engine) = collective::local_ranks(1, DEADLINE).swap_remove(0);
        Arc::new(Self::new(group, Adds::Threads(Some(engine)), true))
    }

    fn new(group: Arc<dyn Group>, adds: Adds, threads: bool) -> Self {
        Self { group, adds: Mutex::new(adds), threads, parted: AtomicBool::new(false) }
    }

    /// Whether it is the one that writes, shows and prints.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// This rank, with host and process.
    pub fn me(&self) -> &Member {
        &self.group.members()[self.rank()]
    }

    /// All ranks.
    pub fn group(&self) -> &Arc<dyn Group> {
        &self.group
    }

    /// How many ranks share this one's host.
    pub fn on_host(&self) -> usize {
        let host = &self.me().host;
        self.group.members().iter().filter(|member| member.host == *host).count()
    }

    /// Threads to compute with, where `asked` are wanted and 0 means one per core: ranks of a host share its
    /// cores.
    pub fn threads(&self, asked: usize) -> usize {
        match (asked, self.world()) {
            (0, 2..) => {
                let all = std::thread::available_parallelism().map_or(1, usize::from);
                // A launcher that binds processes to cores shows each its own.
                let bound = !self.threads && all < crate::machine::cores();
                if bound { all } else { (all / self.on_host()).max(1) }
            }
            _ => asked,
        }
    }

    /// Listens for a wish to stop only where it is a process of its own, or the first thread.
    pub fn has_signals(&self) -> bool {
        !self.threads || self.is_first()
    }

    /// Whether a launcher watches over this process, and sends signals on to it.
    pub fn is_launched(&self) -> bool {
        !self.threads
    }

    /// The end, once nothing more is computed: waits for all ranks.
    ///
    /// # Errors
    /// A rank that is lost.
    pub fn part(&self) -> Result<(), Failure> {
        if self.parted.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.group.part()?;
        if let Adds::Mpi(mpi) = &*self.adds() {
            mpi.finalize(last_words)?;
        }
        Ok(())
    }

    fn adds(&self) -> std::sync::MutexGuard<'_, Adds> {
        self.adds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers for Rank {
    fn rank(&self) -> usize {
        self.group.rank()
    }

    fn world(&self) -> usize {
        self.group.world()
    }

    fn step(&self, step: u64) {
        self.group.step(step);
    }

    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        Ok(self.group.all_gather(what, mine)?)
    }
}

/// What is said before a process that hangs ends itself.
fn last_words(words: &str) {
    eprintln!("error: {words}");
}
