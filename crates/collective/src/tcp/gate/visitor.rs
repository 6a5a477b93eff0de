//! Somebody at rank 0's gate, until it is known who.

use super::super::key::{self, Claim};
use super::super::message::{Message, Nonce, PROTOCOL};
use super::super::roll::Introduction;
use super::super::wire::Wire;
use super::super::{MeetError, Meeting};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

/// The largest introduction; nobody else says more either.
const LONGEST: usize = 64 * 1024;

/// Somebody who has yet to show who it is.
pub(super) struct Visitor {
    pub wire: Wire,
    pub from: SocketAddr,
    /// When it has to go.
    pub until: Instant,
    own_nonce: Nonce,
    nonce: Option<Nonce>,
}

/// What it has shown.
pub(super) enum Shown {
    Nothing,
    /// It is to go.
    Wrong(String),
    /// It is to go, and is told why.
    Refused(MeetError),
    /// It spoils everything.
    Fatal(MeetError),
    Rank(Introduction),
}

impl Visitor {
    /// Lets it in.
    pub fn new(stream: TcpStream, from: SocketAddr, until: Instant) -> std::io::Result<Self> {
        let (wire, own_nonce) = (Wire::new(stream)?, key::nonce()?);
        Ok(Self { wire, from, until, own_nonce, nonce: None })
    }

    /// What it has shown of itself by now.
    pub fn show(&mut self, meeting: &Meeting) -> Shown {
        loop {
            let frame = match self.wire.next(LONGEST) {
                Ok(None) => return Shown::Nothing,
                Ok(Some(frame)) => frame,
                Err(broken) => return Shown::Wrong(broken.to_string()),
            };
            let shown = match (Message::decode(&frame), self.nonce) {
                (Some(Message::Hello { protocol, keyed, nonce }), None) => {
                    self.answer(meeting, protocol, keyed, nonce)
                }
                (Some(Message::Introduction { proof, about }), Some(nonce)) => {
                    let key = meeting.key.as_ref();
                    let due = key::proof(key, &Claim::Rank(&about), &nonce, &self.own_nonce);
                    match Introduction::decode(&about) {
                        _ if !key::equal(&proof, &due) => Shown::Refused(MeetError::Keys {
                            why: format!("a rank at {} has another key than rank 0", self.from),
                        }),
                        Some(who) if (1..who.world).contains(&who.rank) => Shown::Rank(who),
                        _ => Shown::Wrong("it said nonsense of itself".to_string()),
                    }
                }
                _ => Shown::Wrong("it spoke out of turn".to_string()),
            };
            if !matches!(shown, Shown::Nothing) {
                return shown;
            }
        }
    }

    /// Greets it, and proves that this is rank 0.
    fn answer(&mut self, meeting: &Meeting, protocol: u64, keyed: bool, nonce: Nonce) -> Shown {
        let key = meeting.key.as_ref();
        let from = self.from.to_string();
        if protocol != PROTOCOL {
            let error = MeetError::Protocol { from, there: protocol, here: PROTOCOL };
            // Whoever has no key must not end what those with one do.
            return match key {
                None => Shown::Fatal(error),
                Some(_) => Shown::Refused(error),
            };
        }
        match (key, keyed) {
            (None, true) => {
                let why = format!("a rank at {from} has a key, and rank 0 has none");
                return Shown::Fatal(MeetError::Keys { why });
            }
            (Some(_), false) => {
                let why = format!("a rank at {from} has no key, and rank 0 has one");
                return Shown::Refused(MeetError::Keys { why });
            }
            _ => {}
        }
        self.nonce = Some(nonce);
        let proof = key::proof(key, &Claim::Leader, &nonce, &self.own_nonce);
        let challenge = Message::Challenge { keyed: key.is_some(), nonce: self.own_nonce, proof };
        match self.wire.send(&challenge.encode()) {
            Ok(()) => Shown::Nothing,
            Err(broken) => Shown::Wrong(broken.to_string()),
        }
    }
}
