//! Why ranks do not come together, each with what to do about it.

use super::roll::ranks;
use crate::watchdog::seconds;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why ranks do not come together.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    /// Options that make no sense.
    #[error("rank {rank} of {world}: {why}")]
    Misuse {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A host that nobody knows.
    #[error(
        "rank 0 is to be met at `{host}`, and that name leads nowhere ({why}), for {} now. Set DUEL_ADDR \
         to the address of rank 0's host",
        seconds(*waited)
    )]
    Unknown {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// Rank 0 is not on the host whose address it was given.
    #[error(
        "rank 0 runs on host {me}, and `{host}` ({}) is not an address of that host ({error}). Ranks meet \
         at rank 0: set DUEL_ADDR to an address of the host where rank 0 runs",
        list(addresses)
    )]
    Elsewhere {
        /// This host.
        me: String,
        /// The name.
        host: String,
        /// Its addresses.
        addresses: Vec<SocketAddr>,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has the port.
    #[error(
        "rank 0 cannot listen at {address}: another process does, of another job or another rank 0 (`ss \
         -ltnp 'sport = :{}'` tells which). Set DUEL_PORT to a port that is free, the same on all ranks",
        address.port()
    )]
    PortInUse {
        /// Where.
        address: SocketAddr,
    },
    /// Any other error of the system.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// Not all ranks came.
    #[error("{}", missing.tell())]
    Missing {
        /// Who is missing, and more.
        missing: Box<Missing>,
    },
    /// Two processes with one rank.
    #[error(
        "rank {rank} came twice: {first} and {second}. Each process needs a rank of its own: where RANK \
         counts nodes, start the processes of each node with torchrun, or set DUEL_RANK"
    )]
    Twice {
        /// The rank.
        rank: usize,
        /// Who came first.
        first: String,
        /// Who came then.
        second: String,
    },
    /// Ranks of different worlds.
    #[error(
        "{who} says that there are {there} ranks, and {me} says {here}. Start all ranks with the same \
         number of ranks"
    )]
    World {
        /// Who came.
        who: String,
        /// What it says.
        there: usize,
        /// Rank 0.
        me: String,
        /// What it says.
        here: usize,
    },
    /// Ranks that do not run the same.
    #[error(
        "ranks do not run the same: {difference}. Start all ranks of one job, with the same program and \
         the same experiment"
    )]
    Card {
        /// The first fact that is not the same.
        difference: String,
    },
    /// Another version of Duel.
    #[error(
        "another version of Duel has come from {from}: it speaks protocol {there}, and rank 0 speaks \
         {here}. Start all ranks with the same program"
    )]
    Protocol {
        /// From where.
        from: String,
        /// What it speaks.
        there: u64,
        /// What rank 0 speaks.
        here: u64,
    },
    /// One has a key, and the other has none or another one.
    #[error("{why}. Set DUEL_JOB_KEY or DUEL_JOB_KEY_FILE alike on all ranks, or on none")]
    Keys {
        /// In words.
        why: String,
    },
    /// A rank came and went.
    #[error("{who} came and left again, before all ranks had come ({why}). Look at what it says")]
    Left {
        /// Who.
        who: String,
        /// What was seen of it.
        why: String,
    },
    /// Rank 0 has refused, in its words.
    #[error("{0}")]
    Refused(String),
    /// Rank 0 is not to be found.
    #[error(
        "rank {rank} of {world} did not find rank 0 at {at}, in {} and {tries} tries ({last}). See whether \
         rank 0 runs and what it says; if it waits there, a firewall may lie between: set DUEL_ADDR and \
         DUEL_PORT to what can be reached",
        seconds(*waited)
    )]
    NotFound {
        /// This rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
        /// Where it was looked for.
        at: String,
        /// For how long.
        waited: Duration,
        /// How often.
        tries: u32,
        /// How the last try ended.
        last: String,
    },
    /// Rank 0 was there, and is gone.
    #[error(
        "rank 0 at {at} was there, and then gave no answer for {} ({why}). Look at what it says",
        seconds(*waited)
    )]
    Gone {
        /// Where.
        at: String,
        /// For how long this rank has waited there.
        waited: Duration,
        /// What was seen of it.
        why: String,
    },
}

/// Who is missing.
#[derive(Debug)]
pub struct Missing {
    /// Rank 0.
    pub me: String,
    /// Where it waited.
    pub at: SocketAddr,
    /// For how long.
    pub waited: Duration,
    /// Who did not come.
    pub missing: Vec<usize>,
    /// Who came.
    pub here: Vec<String>,
    /// Who was turned away, and why.
    pub turned_away: Vec<String>,
}

impl Missing {
    fn tell(&self) -> String {
        let Self { me, at, waited, missing, here, turned_away } = self;
        let world = missing.len() + here.len() + 1;
        let mut text = format!(
            "{} of {world} did not come to {me} at {at} within {}",
            ranks(missing),
            seconds(*waited)
        );
        let _ = match here.is_empty() {
            true => write!(text, "; no other rank came"),
            false => write!(text, "; here are {}", some(here)),
        };
        if !turned_away.is_empty() {
            let _ = write!(text, "; turned away were {}", some(turned_away));
        }
        text += ". Look at what the missing ranks say";
        if at.ip().is_loopback() {
            let _ = write!(
                text,
                "; ranks on other hosts cannot reach {}, which means this host only: for those set \
                 DUEL_ADDR to an address of rank 0's host",
                at.ip()
            );
        }
        text
    }
}

/// A few of them.
fn some(all: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = match all.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", all[..all.len().min(SHOWN)].join(", "))
}

fn list(addresses: &[SocketAddr]) -> String {
    let all: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    some(&all)
}
