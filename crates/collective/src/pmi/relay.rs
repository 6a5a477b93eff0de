//! What stands between a rank's MPI and rank 0.
//!
//! MPICH takes its leave when the process ends, and crashes if nobody answers then; but rank 0 may end
//! first. So each rank has a thread of its own that passes questions on, and answers the last one itself.

use super::message::{LINE, Request};
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;

/// MPI's end of the line to rank 0, for as long as the process lives.
pub(super) fn start(server: TcpStream) -> io::Result<UnixStream> {
    let (theirs, ours) = UnixStream::pair()?;
    // Ends when MPI or rank 0 hangs up; MPI's waits have a deadline around them.
    thread::Builder::new().name("pmi-relay".to_string()).spawn(move || {
        if let Err(error) = pass(&ours, &server) {
            tracing::debug!(%error, "MPI asks rank 0 no more");
        }
    })?;
    Ok(theirs)
}

/// Each question has one answer, except that nobody answers to an abort.
fn pass(mut mpi: &UnixStream, mut server: &TcpStream) -> io::Result<()> {
    let (mut questions, mut answers) = (BufReader::new(mpi), BufReader::new(server));
    loop {
        let question = line(&mut questions)?;
        match Request::parse(question.trim_end()) {
            Some(Request::Finalize) => {
                mpi.write_all(b"cmd=finalize_ack rc=0\n")?;
                continue;
            }
            Some(Request::Abort) => {
                server.write_all(question.as_bytes())?;
                continue;
            }
            _ => server.write_all(question.as_bytes())?,
        }
        mpi.write_all(line(&mut answers)?.as_bytes())?;
    }
}

/// A whole line, with its end.
pub(super) fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.by_ref().take(LINE).read_line(&mut line)?;
    match line.ends_with('\n') {
        true => Ok(line),
        false => Err(Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn leave_is_taken_without_rank_0() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = BufReader::new(listener.accept().unwrap().0);
        let mpi = start(client).unwrap();
        let mut answers = BufReader::new(&mpi);
        (&mpi).write_all(b"cmd=get_appnum\n").unwrap();
        assert_eq!(line(&mut server).unwrap(), "cmd=get_appnum\n");
        server.get_mut().write_all(b"cmd=appnum appnum=0\n").unwrap();
        assert_eq!(line(&mut answers).unwrap(), "cmd=appnum appnum=0\n");
        drop(server);
        (&mpi).write_all(b"cmd=finalize\n").unwrap();
        assert_eq!(line(&mut answers).unwrap(), "cmd=finalize_ack rc=0\n");
        // Any other question ends it: the line is closed instead of left open without an answer.
        (&mpi).write_all(b"cmd=barrier_in\n").unwrap();
        assert!(line(&mut answers).is_err());
    }
}
