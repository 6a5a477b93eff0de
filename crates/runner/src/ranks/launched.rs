//! Ranks that a launcher has started, one process each.

use super::{Adds, Leave, Rank, deadline, last_words};
use crate::command::{Ended, Failure};
use crate::machine::COMMIT;
use collective::mpi::Mpi;
use collective::tcp::{self, At, Key, Meeting};
use collective::{Launch, Launcher};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use train::Peers;

/// How long a connection may take to show that it is a rank.
const STRAY: Duration = Duration::from_secs(3);

/// Runs `body` as the rank that this process is.
pub(super) fn run(
    launch: &Launch,
    body: impl Fn(&Arc<Rank>) -> Result<Ended, Failure>,
) -> Result<Ended, Failure> {
    let rank = Arc::new(join(launch)?);
    tracing::debug!(rank = rank.rank(), world = rank.world(), "{}", launch.describe());
    let ended = body(&rank).and_then(|ended| rank.part().map(|()| ended));
    ended.map_err(|error| Leave::of(&rank, error).into())
}

/// Meets the others.
fn join(launch: &Launch) -> Result<Rank, Failure> {
    let deadline = deadline()?;
    let native = matches!(launch.launcher, Launcher::OpenMpi | Launcher::Pmi | Launcher::Pmix);
    let (at, adds) = match &launch.address {
        Some((host, port)) => {
            (At::Named { host: host.clone(), port: *port }, Adds::NotYet { native })
        }
        None => {
            let mpi = Mpi::init(Some((launch.rank, launch.world)), deadline, last_words)?;
            (meet_through(&mpi)?, Adds::Mpi(Arc::new(mpi)))
        }
    };
    let facts = [
        ("the version of duel", env!("CARGO_PKG_VERSION")),
        ("the commit that duel was built from", COMMIT.unwrap_or("unknown")),
    ];
    let group = tcp::meet(&Meeting {
        rank: launch.rank,
        world: launch.world,
        at,
        card: facts.map(|(name, value)| (name.to_string(), value.to_string())).to_vec(),
        arrival: deadline,
        deadline,
        stray: STRAY,
        key: Key::find(|name| std::env::var(name).ok())?,
        last_words,
    })?;
    Ok(Rank::new(Arc::new(group), adds, false))
}

/// Where ranks of an MPI launcher meet: rank 0 chooses, and MPI tells the others.
fn meet_through(mpi: &Mpi) -> Result<At, Failure> {
    let hosts = mpi.all_gather(mpi.processor().as_bytes())?;
    let mut listener = None;
    let mut told = Vec::new();
    if mpi.rank() == 0 {
        let own = mpi.processor().as_bytes();
        let other = hosts.iter().find(|host| *host != own);
        let ip = match other {
            None => IpAddr::from(Ipv4Addr::LOCALHOST),
            Some(host) => {
                let host = String::from_utf8_lossy(host);
                tcp::facing(&host).map_err(|error| {
                    format!(
                        "which of its addresses rank 0 is met at is unknown: its way to {host}: {error}. \
                         Set MASTER_ADDR on all ranks to the address of rank 0's host"
                    )
                })?
            }
        };
        let bound = TcpListener::bind((ip, 0));
        let bound = bound.map_err(|error| format!("rank 0 cannot listen at {ip}: {error}"))?;
        told = format!("{ip} {}", bound.local_addr()?.port()).into_bytes();
        listener = Some(bound);
    }
    let told = mpi.broadcast(&told)?;
    if let Some(listener) = listener {
        return Ok(At::Listener(listener));
    }
    let told = String::from_utf8_lossy(&told).into_owned();
    let parts = told.split_once(' ').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| format!("rank 0 told `{told}`, which is no address"))?;
    Ok(At::Named { host: host.to_string(), port })
}
