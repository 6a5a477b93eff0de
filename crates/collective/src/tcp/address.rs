//! Names, addresses, and waiting for sockets.

use super::MeetError;
use rustix::event::{PollFd, Timespec, poll};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a port may be in use: by a process that is about to end, such as rank 0 before a restart.
const IN_USE: Duration = Duration::from_secs(3);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The address of this host by which it reaches another one, and is likely to be reached by it. Nothing is
/// sent.
///
/// # Errors
/// A name that leads nowhere, or to where there is no route.
pub fn facing(host: &str) -> io::Result<IpAddr> {
    const ANY_PORT: u16 = 9;
    let mut last = io::Error::new(ErrorKind::NotFound, format!("`{host}` has no address"));
    for address in (host, ANY_PORT).to_socket_addrs()? {
        let any = match address {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let socket = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            socket.local_addr()
        });
        match socket {
            Ok(own) => return Ok(own.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses of a host; waits at most so long.
pub(super) fn resolve(host: &str, port: u16, most: Duration) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    // Asking may take longer than anybody wants to wait, and cannot be called off.
    let (tell, told) = mpsc::channel();
    let name = host.to_string();
    let asking = thread::Builder::new().name("resolver".to_string()).spawn(move || {
        let _ = tell.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect));
    });
    asking.map_err(|error| error.to_string())?;
    match told.recv_timeout(most) {
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses;
            if addresses.is_empty() { Err("it has no address".to_string()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {most:.0?}")),
    }
}

/// Listens at the first address of a host that is this host's, and at no other.
pub(super) fn listen(
    me: &str,
    host: &str,
    port: u16,
    end: Instant,
) -> Result<TcpListener, MeetError> {
    let begun = Instant::now();
    let addresses = loop {
        match resolve(host, port, end.saturating_duration_since(Instant::now())) {
            Ok(addresses) => break addresses,
            Err(why) if Instant::now() + PAUSE >= end => {
                let (host, waited) = (host.to_string(), begun.elapsed());
                return Err(MeetError::Unknown { host, why, waited });
            }
            Err(_) => thread::sleep(PAUSE),
        }
    };
    let patience = (Instant::now() + IN_USE).min(end);
    let mut not_here = None;
    for &address in &addresses {
        if address.ip().is_unspecified() {
            let why = "it stands for all addresses of a host, and is none where others find it";
            not_here = Some(io::Error::new(ErrorKind::AddrNotAvailable, why));
            continue;
        }
        loop {
            match TcpListener::bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                    not_here = Some(error);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    if Instant::now() >= patience {
                        return Err(MeetError::PortInUse { address });
                    }
                    thread::sleep(PAUSE);
                }
                Err(error) => {
                    return Err(MeetError::System {
                        doing: format!("listening at {address}"),
                        error,
                    });
                }
            }
        }
    }
    let error = not_here.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
    Err(MeetError::Elsewhere { me: me.to_string(), host: host.to_string(), addresses, error })
}

/// Waits until a socket has something, or for so long.
pub(super) fn wait(sockets: &mut [PollFd<'_>], most: Duration) {
    // Rounded up, so that nobody asks again and again during the last millisecond.
    let most = most.min(Duration::from_secs(60)).max(Duration::from_millis(1));
    let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: i64::from(most.subsec_nanos()) };
    // A signal may cut it short: whoever waits looks at the time anyway.
    if let Err(error) = poll(sockets, Some(&most))
        && error != rustix::io::Errno::INTR
    {
        thread::sleep(Duration::from_millis(1));
    }
}
