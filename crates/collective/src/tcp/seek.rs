//! The other ranks look for rank 0.

use super::address::{resolve, wait};
use super::key::{self, Claim};
use super::message::{Message, PROTOCOL};
use super::roll::Introduction;
use super::wire::Wire;
use super::{At, MeetError, Meeting};
use crate::Member;
use rustix::event::{PollFd, PollFlags};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The longest welcome.
const LONGEST: usize = 16 * 1024 * 1024;
/// Between the first two tries, and between late ones.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(250)];
/// What a name may take, and a connection.
const ANSWER: Duration = Duration::from_secs(5);
/// Rank 0 tells who is missing when its own deadline has passed, which takes a moment.
const GRACE: Duration = Duration::from_secs(2);

/// Rank 0, found.
pub(super) struct Found {
    pub wire: Wire,
    pub members: Vec<Member>,
    pub ip: IpAddr,
}

enum Trouble {
    /// It may get better.
    Again(String),
    /// It will not.
    Fatal(MeetError),
}

/// Looks for rank 0 until `end`, and then waits until all have come.
pub(super) fn seek(meeting: &Meeting, me: &Introduction, end: Instant) -> Result<Found, MeetError> {
    let Meeting { rank, world, .. } = *meeting;
    let At::Named { host, port } = &meeting.at else {
        let why = "only rank 0 listens; the others need its host and port";
        return Err(MeetError::Misuse { rank, world, why });
    };
    let at = format!("{host}, port {port}");
    let (begun, mut pause, mut tries) = (Instant::now(), PAUSES[0], 0);
    loop {
        tries += 1;
        let last = match attempt(meeting, me, host, *port, end) {
            Ok(found) => return Ok(found),
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(Trouble::Again(why)) => why,
        };
        if Instant::now() + pause >= end {
            let waited = begun.elapsed();
            return Err(MeetError::NotFound { rank, world, at, waited, tries, last });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSES[1]);
    }
}

fn attempt(
    meeting: &Meeting,
    me: &Introduction,
    host: &str,
    port: u16,
    end: Instant,
) -> Result<Found, Trouble> {
    let left = |most: Duration| {
        let left = end.saturating_duration_since(Instant::now()).min(most);
        left.max(Duration::from_millis(1))
    };
    let addresses = resolve(host, port, left(ANSWER))
        .map_err(|why| Trouble::Again(format!("`{host}` leads nowhere: {why}")))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(ANSWER)) {
            Ok(stream) => match introduce(meeting, me, stream, address) {
                Err(Trouble::Again(why)) => last = Some(format!("{address}: {why}")),
                other => return other,
            },
            Err(error) => last = Some(format!("{address}: {error}")),
        }
    }
    Err(Trouble::Again(last.unwrap_or_default()))
}

/// Says who this is to whoever answers there, if that is rank 0.
fn introduce(
    meeting: &Meeting,
    me: &Introduction,
    stream: TcpStream,
    at: SocketAddr,
) -> Result<Found, Trouble> {
    let again = |why: &dyn std::fmt::Display| Trouble::Again(why.to_string());
    let fatal = |why: &str| {
        Trouble::Fatal(MeetError::Keys {
            why: format!("rank {} and rank 0 at {at}: {why}", me.rank),
        })
    };
    let key = meeting.key.as_ref();
    let nonce = key::nonce().map_err(|error| {
        Trouble::Fatal(MeetError::System { doing: "reading random bytes".to_string(), error })
    })?;
    let mut wire = Wire::new(stream).map_err(|error| again(&error))?;
    let hello = Message::Hello { protocol: PROTOCOL, keyed: key.is_some(), nonce };
    wire.send(&hello.encode()).map_err(|broken| again(&broken))?;

    let begun = Instant::now();
    let (keyed, theirs, proof) = match receive(&mut wire, begun + meeting.stray.max(ANSWER)) {
        Ok(Message::Challenge { keyed, nonce, proof }) => (keyed, nonce, proof),
        Ok(Message::Refusal { why }) => return Err(Trouble::Fatal(MeetError::Refused(why))),
        Ok(_) => return Err(again(&"it is no rank 0")),
        Err(why) => return Err(again(&why)),
    };
    if key.is_some() != keyed {
        return Err(fatal("only one of them has a key"));
    }
    if !key::equal(&proof, &key::proof(key, &Claim::Leader, &nonce, &theirs)) {
        return Err(fatal("they have different keys"));
    }
    let about = me.encode();
    let proof = key::proof(key, &Claim::Rank(&about), &nonce, &theirs);
    let gone = |why: String, since: Instant| {
        let (at, waited) = (at.to_string(), since.elapsed());
        Trouble::Fatal(MeetError::Gone { at, waited, why })
    };
    let since = Instant::now();
    wire.send(&Message::Introduction { proof, about }.encode())
        .map_err(|broken| gone(broken.to_string(), since))?;
    match receive(&mut wire, since + meeting.arrival + GRACE) {
        Ok(Message::Welcome { members }) if members.len() == meeting.world => {
            Ok(Found { wire, members, ip: at.ip() })
        }
        Ok(Message::Refusal { why }) => Err(Trouble::Fatal(MeetError::Refused(why))),
        Ok(_) => Err(gone("it spoke out of turn".to_string(), since)),
        Err(why) => Err(gone(why, since)),
    }
}

/// The next message, if it comes until then.
fn receive(wire: &mut Wire, until: Instant) -> Result<Message, String> {
    loop {
        match wire.next(LONGEST) {
            Ok(Some(frame)) => {
                return Message::decode(&frame).ok_or("it said nonsense".to_string());
            }
            Ok(None) => {}
            Err(broken) => return Err(broken.to_string()),
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("it did not answer".to_string());
        }
        let mut events = PollFlags::IN;
        if wire.is_behind() {
            events |= PollFlags::OUT;
        }
        wait(&mut [PollFd::new(&wire.stream, events)], left);
        wire.flush().map_err(|broken| broken.to_string())?;
    }
}
