//! What lets MPICH's library find its peers where no `mpiexec` has started them: rank 0 serves PMI-1, the
//! protocol in which a rank of MPICH asks its launcher who the others are.
//!
//! MPICH reads and writes it on a file descriptor whose number is in `PMI_FD`. [`boot`] makes that a line to
//! rank 0, so `torchrun --no-python`, plain shells and Kubernetes are launchers of MPI as well.

mod error;
mod mapping;
mod message;
mod relay;
mod server;
#[cfg(test)]
mod tests;

pub use error::PmiError;

use crate::mpi::library::Library;
use crate::{Group, Kind, Lost};
use server::Server;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Variables by which other launchers would be taken for the one that serves MPI.
const OTHERS: [&str; 4] = ["PMI_", "PMI2_", "PMIX_", "OMPI_COMM_WORLD_"];

/// Makes rank 0 the launcher of MPICH, or of what has its PMI: [`crate::mpi::Mpi::init`] then finds as many
/// ranks as the group has. All ranks call it, each in its own process and before that.
///
/// It changes the environment, so no other thread may read or write that through C at this time.
///
/// # Errors
/// No MPI library, Open MPI's, other libraries on other ranks, a rank 0 that is not reached, a lost peer.
pub fn boot(group: &Arc<dyn Group>) -> Result<(), PmiError> {
    let library = Library::get()?;
    if library.open_mpi {
        return Err(PmiError::OpenMpi { path: library.path.clone(), version: library.name() });
    }
    let server = match group.rank() {
        0 => Some(Server::start(group)?),
        _ => None,
    };
    let (port, secret) = server.map_or((0, String::new()), |server| (server.port, server.secret));
    let words = format!("{port} {secret} {}", library.version);
    let said = group.all_gather("meeting for MPI", words.as_bytes())?;
    let said: Vec<_> = said.iter().map(|words| String::from_utf8_lossy(words)).collect();
    let said: Option<Vec<_>> = said.iter().map(|words| parts(words)).collect();
    let said = said.ok_or_else(|| Lost::new(Kind::Disagree, "a rank is of another build"))?;
    let (port, secret, version) = said[0];
    if let Some(rank) = said.iter().position(|(_, _, other)| *other != version) {
        let [this, zero] = [rank, 0].map(|rank| &group.members()[rank]);
        let message = format!(
            "{this} has another MPI library than {zero}: `{}` and `{version}`. All ranks need the same",
            said[rank].2
        );
        return Err(Lost::new(Kind::Disagree, message).into());
    }
    let stream = connect(SocketAddr::new(group.address(), port), group, secret)?;
    announce(group, stream);
    Ok(())
}

/// Port and secret, which only rank 0 has, and the library.
fn parts(words: &str) -> Option<(u16, &str, &str)> {
    let (port, rest) = words.split_once(' ')?;
    let (secret, version) = rest.split_once(' ')?;
    Some((port.parse().ok()?, secret, version))
}

/// A line to rank 0 on which PMI is spoken.
fn connect(
    address: SocketAddr,
    group: &Arc<dyn Group>,
    secret: &str,
) -> Result<UnixStream, PmiError> {
    let failed = |why: std::io::Error| PmiError::Unreachable {
        rank: group.rank(),
        address,
        why: why.to_string(),
    };
    let come = || {
        let stream = TcpStream::connect_timeout(&address, group.deadline())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(group.deadline()))?;
        writeln!(&stream, "{secret} {}", group.rank())?;
        let mut answer = String::new();
        // Nothing more comes before something is asked.
        BufReader::new(&stream).read_line(&mut answer)?;
        if answer != server::WELCOME {
            return Err(std::io::Error::other(format!("it answers `{}`", answer.trim())));
        }
        // MPI's own waiting has a deadline around it.
        stream.set_read_timeout(None)?;
        relay::start(stream)
    };
    come().map_err(failed)
}

/// Tells MPI by the environment.
fn announce(group: &Arc<dyn Group>, stream: UnixStream) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let stale: Vec<String> =
        names.filter(|name| OTHERS.iter().any(|other| name.starts_with(other))).collect();
    let values = [
        // MPI's from here on; it stays open until the process ends.
        ("PMI_FD", stream.into_raw_fd().to_string()),
        ("PMI_RANK", group.rank().to_string()),
        ("PMI_SIZE", group.world().to_string()),
    ];
    // SAFETY: all of Rust's readers and writers of the environment take the same lock, and the caller has
    // promised that nobody else reads or writes it now.
    unsafe {
        stale.iter().for_each(|name| std::env::remove_var(name));
        values.iter().for_each(|(name, value)| std::env::set_var(name, value));
    }
}
