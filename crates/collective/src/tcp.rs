//! Ranks that meet over TCP, and stay in touch.
//!
//! All of them come to rank 0 and stay connected to it: a star. What goes over it are words, a few bytes a
//! second, no gradients. Rank 0 hears whether the others live and tells everyone when one is lost.

mod address;
mod error;
mod gate;
mod hub;
mod key;
mod message;
mod roll;
mod seek;
#[cfg(test)]
mod tests;
mod wire;

pub use address::facing;
pub use error::{MeetError, Missing};
pub use key::{Key, KeyError};

use crate::watchdog::{Watchdog, Watched, seconds};
use crate::{Group, Kind, Lost, Member, Place};
use gate::{Gate, Met};
use hub::{Hub, LARGEST, Order, Shared, Star};
use roll::Introduction;
use seek::Found;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Beyond the deadline, what rank 0 gets to say who has not come.
const GRACE: Duration = Duration::from_secs(3);
/// How long a rank that ends waits until the others know.
const FAREWELL: Duration = Duration::from_secs(2);

/// How ranks are to meet.
#[derive(Debug)]
pub struct Meeting {
    /// This rank.
    pub rank: usize,
    /// Number of ranks.
    pub world: usize,
    /// Where.
    pub at: At,
    /// Facts by name that must be the same on all ranks, such as the version and the experiment's hash. A
    /// rank of which one is not the same is refused, and all ranks end.
    pub card: Vec<(String, String)>,
    /// How long this rank waits until all have come.
    pub arrival: Duration,
    /// How long it waits later, for an answer or for a sign of life.
    pub deadline: Duration,
    /// How long a connection may take to show that it is a rank; a few seconds.
    pub stray: Duration,
    /// The job's secret.
    pub key: Option<Key>,
    /// Takes what is said before a process that hangs ends itself.
    pub last_words: fn(&str),
}

/// Where ranks meet.
#[derive(Debug)]
pub enum At {
    /// At this host and port: rank 0 listens there, at the first address that is its own.
    Named {
        /// Name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Rank 0 listens already, and the others have been told where.
    Listener(TcpListener),
}

/// Ranks that have met. Dropped before [`Group::part`], this rank is lost to the others.
pub struct TcpGroup {
    shared: Arc<Shared>,
    ip: IpAddr,
    /// One exchange at a time.
    turn: Mutex<()>,
    hub: Option<JoinHandle<()>>,
}

/// Waits until all ranks have come to rank 0. Each calls it, once.
///
/// # Errors
/// Ranks that do not come before the deadline; a rank that comes twice; ranks of another world, job, build or
/// configuration; a port that is in use; a key that not all have. Rank 0 tells those who have come, so that
/// they end with the same error.
pub fn meet(meeting: &Meeting) -> Result<TcpGroup, MeetError> {
    let Meeting { rank, world, deadline, last_words, .. } = *meeting;
    if rank >= world {
        let why = "ranks are numbered from 0 and are smaller than their number";
        return Err(MeetError::Misuse { rank, world, why });
    }
    let end = Instant::now() + meeting.arrival;
    let me = Introduction::of_this(rank, world, meeting.card.clone());
    let met = match rank {
        _ if world == 1 => {
            let members = roll::members(&[&me]);
            Met { wires: Vec::new(), members, ip: IpAddr::from([127, 0, 0, 1]) }
        }
        0 => Gate::open(meeting, me, end)?.meet(end)?,
        _ => {
            let Found { wire, members, ip } = seek::seek(meeting, &me, end)?;
            Met { wires: vec![wire], members, ip }
        }
    };
    let Met { wires, members, ip } = met;
    let broken = |error| MeetError::System { doing: "starting the group".to_string(), error };
    let others = Arc::<Mutex<String>>::default();
    let heard = Arc::clone(&others);
    let watchdog = Watchdog::new(Watched {
        me: members[rank].clone(),
        deadline,
        last_words,
        others: Box::new(move || heard.lock().unwrap_or_else(PoisonError::into_inner).clone()),
    });
    let star = Star { rank, members, deadline };
    let (shared, hub) = Hub::new(star, wires, watchdog, others).map_err(broken)?;
    let hub = std::thread::Builder::new().name("group".to_string()).spawn(move || hub.run());
    let hub = Some(hub.map_err(broken)?);
    tracing::debug!(rank, world, %ip, "ranks have met");
    Ok(TcpGroup { shared, ip, turn: Mutex::default(), hub })
}

impl Group for TcpGroup {
    fn rank(&self) -> usize {
        self.shared.star.rank
    }

    fn members(&self) -> &[Member] {
        &self.shared.star.members
    }

    fn address(&self) -> IpAddr {
        self.ip
    }

    fn deadline(&self) -> Duration {
        self.shared.star.deadline
    }

    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let most = LARGEST / self.world() - what.len().min(1024);
        if mine.len() > most {
            let me = &self.members()[self.rank()];
            let text = format!("{me} has {} bytes for `{what}`, of at most {most}", mine.len());
            return Err(Lost::new(Kind::Disagree, text));
        }
        self.refuse_after_parting(what)?;
        self.shared.begin(what);
        let (what, bytes) = (what.to_string(), mine.to_vec());
        self.shared.order(Order::Gather { what: what.clone(), bytes });
        self.wait(&what, |state| state.answer.take())
    }

    fn step(&self, step: u64) {
        self.shared.watchdog.step(step);
    }

    fn enter_place(&self, place: &Arc<Place>) {
        self.shared.watchdog.enter_place(place);
    }

    fn leave_place(&self) {
        self.shared.watchdog.leave_place();
    }

    fn check(&self) -> Result<(), Lost> {
        self.shared.lost().map_or(Ok(()), Err)
    }

    fn fail(&self, why: &str) {
        if self.shared.lost().is_some() || self.shared.state().parted {
            return;
        }
        self.shared.order(Order::Fail(why.to_string()));
        // Rank 0 says it again to all, this one included; then the others know.
        let known = self.shared.wait(FAREWELL, |state| match self.rank() {
            0 => state.alone.then_some(()),
            _ => self.shared.lost().map(drop),
        });
        if known.is_none() {
            self.shared.lose(Lost::new(Kind::Failed, self.shared.star.failed(self.rank(), why)));
        }
    }

    fn part(&self) -> Result<(), Lost> {
        const WHAT: &str = "the end";
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_after_parting(WHAT)?;
        self.shared.begin(WHAT);
        self.shared.order(Order::Part);
        self.wait(WHAT, |state| state.parted.then_some(()))?;
        // Rank 0 goes last, so that nobody loses what it said.
        self.shared.wait(FAREWELL, |state| state.alone.then_some(()));
        Ok(())
    }
}

impl TcpGroup {
    /// Waits for rank 0's answer to what was begun.
    fn wait<T>(
        &self,
        what: &str,
        mut answer: impl FnMut(&mut hub::State) -> Option<T>,
    ) -> Result<T, Lost> {
        let most = self.deadline() + GRACE;
        let come = self.shared.wait(most, |state| match answer(state) {
            Some(answer) => Some(Ok(answer)),
            None => self.shared.lost().map(Err),
        });
        self.shared.end();
        come.unwrap_or_else(|| {
            let leader = &self.members()[0];
            let why = format!("{leader} has not answered `{what}` for {}", seconds(most));
            self.shared.lose(Lost::new(Kind::Peer, why));
            Err(self.shared.lost().expect("it was just lost, or before"))
        })
    }

    fn refuse_after_parting(&self, what: &str) -> Result<(), Lost> {
        let parted = self.shared.state().parted;
        let me = &self.members()[self.rank()];
        match parted {
            true => Err(Lost::new(Kind::Disagree, format!("{me} begins `{what}` after the end"))),
            false => Ok(()),
        }
    }
}

impl Drop for TcpGroup {
    fn drop(&mut self) {
        self.shared.order(Order::Close);
        if let Some(hub) = self.hub.take() {
            let _ = hub.join();
        }
    }
}
