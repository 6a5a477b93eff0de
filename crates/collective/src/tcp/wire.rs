//! Frames over a socket that never blocks.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// Begins each frame, so that the first bytes of a stranger tell that it is one.
const MARK: [u8; 4] = *b"DUEL";
/// The mark and the length.
const HEADER: usize = 8;

/// One end of a connection.
pub(super) struct Wire {
    pub stream: TcpStream,
    inbox: Vec<u8>,
    outbox: VecDeque<u8>,
}

/// Why nothing more comes from a peer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It has closed its end, or its process has ended.
    Closed,
    /// It does not speak as ranks do; its first bytes.
    Foreign(String),
    /// The network.
    Failed(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it closed the connection"),
            Self::Foreign(said) => write!(f, "it is no rank of Duel: it said {said}"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

impl Wire {
    /// Takes a connected socket. Short messages go at once.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Vec::new(), outbox: VecDeque::new() })
    }

    /// The next frame that has come, of at most `limit` bytes; does not wait. What came before an end
    /// comes before the error.
    pub fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Broken> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(frame) = self.parse(limit)? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Broken::Closed),
                Ok(read) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn parse(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Broken> {
        let mark = self.inbox.len().min(MARK.len());
        if self.inbox[..mark] != MARK[..mark] {
            let said = &self.inbox[..self.inbox.len().min(24)];
            return Err(Broken::Foreign(format!("`{}`", said.escape_ascii())));
        }
        let Some(length) = self.inbox.get(MARK.len()..HEADER) else { return Ok(None) };
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if length > limit {
            return Err(Broken::Foreign(format!("{length} bytes, of at most {limit}")));
        }
        let end = HEADER + length;
        if self.inbox.len() < end {
            return Ok(None);
        }
        let frame = self.inbox[HEADER..end].to_vec();
        self.inbox.drain(..end);
        Ok(Some(frame))
    }

    /// Puts a frame behind those that have not gone yet, and lets go what the socket takes.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), Broken> {
        let length = u32::try_from(frame.len()).expect("frames are bounded far below 4 GiB");
        self.outbox.extend(MARK);
        self.outbox.extend(length.to_le_bytes());
        self.outbox.extend(frame);
        self.flush()
    }

    /// Lets go what the socket takes; does not wait.
    pub fn flush(&mut self) -> Result<(), Broken> {
        while !self.outbox.is_empty() {
            match self.stream.write(self.outbox.as_slices().0) {
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether frames wait for the socket.
    pub fn is_behind(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Says that nothing more will come from here; the peer's words can still be read.
    pub fn close(&mut self) {
        let _ = self.flush();
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Wire::new(listener.accept().unwrap().0).unwrap(), other)
    }

    fn next(wire: &mut Wire) -> Result<Vec<u8>, Broken> {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if let Some(frame) = wire.next(100)? {
                return Ok(frame);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing came");
    }

    #[test]
    fn frames_come_whole_and_before_the_end() {
        let (mut wire, other) = pair();
        let mut other = Wire::new(other).unwrap();
        other.send(b"one").unwrap();
        other.send(b"").unwrap();
        other.send(&[7; 100]).unwrap();
        drop(other);
        assert_eq!(next(&mut wire).unwrap(), b"one");
        assert_eq!(next(&mut wire).unwrap(), b"");
        assert_eq!(next(&mut wire).unwrap(), [7; 100]);
        assert!(matches!(next(&mut wire), Err(Broken::Closed)));
    }

    #[test]
    fn pieces_are_put_together() {
        let (mut wire, mut other) = pair();
        for byte in b"DUEL\x02\0\0\0hi" {
            assert!(matches!(wire.next(100), Ok(None)));
            other.write_all(&[*byte]).unwrap();
        }
        assert_eq!(next(&mut wire).unwrap(), b"hi");
    }

    #[test]
    fn strangers_are_told_by_their_first_bytes() {
        for (said, told) in [
            (&b"G"[..], "`G`"),
            (b"DELETE / HTTP/1.1\r\n", "`DELETE / HTTP/1.1\\r\\n`"),
            (b"\x16\x03\x01", "`\\x16\\x03\\x01`"),
            (b"DUEL\x65\0\0\0", "101 bytes, of at most 100"),
            (b"DUEL\xff\xff\xff\xff", "4294967295 bytes"),
        ] {
            let (mut wire, mut other) = pair();
            other.write_all(said).unwrap();
            match next(&mut wire) {
                Err(Broken::Foreign(why)) => assert!(why.contains(told), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
