//! What ranks say to each other, as bytes.

use super::roll::Introduction;
use crate::{Kind, Lost, Member};
use std::time::Duration;

/// Changes when messages do.
pub(super) const PROTOCOL: u64 = 1;

/// Random bytes that a proof is about, so that an old proof proves nothing.
pub(super) type Nonce = [u8; 32];
/// An HMAC; zeros where there is no key.
pub(super) type Proof = [u8; 32];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A rank to rank 0, first of all.
    Hello { protocol: u64, keyed: bool, nonce: Nonce },
    /// Rank 0 answers, and proves that it has the key.
    Challenge { keyed: bool, nonce: Nonce, proof: Proof },
    /// The rank says who it is, and proves that it has the key too. The bytes are an [`Introduction`].
    Introduction { proof: Proof, about: Vec<u8> },
    /// Rank 0 to all, once all have come.
    Welcome { members: Vec<Member> },
    /// Rank 0: it does not come to that.
    Refusal { why: String },
    /// Each rank to rank 0 and the other way round, every second.
    Beat { doing: Doing, others: String },
    /// A rank's part of an exchange.
    Words { what: String, bytes: Vec<u8> },
    /// Rank 0 to all: everyone's part.
    AllWords { words: Vec<Vec<u8>> },
    /// A rank has come to its end.
    Part,
    /// Rank 0 to all: so have all.
    Parted,
    /// A rank ends with an error.
    Fail { why: String },
    /// Ranks cannot go on together.
    Lost { lost: Lost },
}

/// What a rank was doing when it said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doing {
    pub step: u64,
    /// What it waited for, and for how long.
    pub waits: Option<(String, Duration)>,
}

impl Message {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer(Vec::new());
        match self {
            Self::Hello { protocol, keyed, nonce } => {
                to.number(0).number(*protocol).number(u64::from(*keyed)).bytes(nonce)
            }
            Self::Challenge { keyed, nonce, proof } => {
                to.number(1).number(u64::from(*keyed)).bytes(nonce).bytes(proof)
            }
            Self::Introduction { proof, about } => to.number(2).bytes(proof).bytes(about),
            Self::Welcome { members } => {
                to.number(3).number(members.len() as u64);
                for Member { rank, host, pid, local_rank } in members {
                    to.number(*rank as u64).bytes(host.as_bytes());
                    to.number(u64::from(*pid)).number(*local_rank as u64);
                }
                &mut to
            }
            Self::Refusal { why } => to.number(4).bytes(why.as_bytes()),
            Self::Beat { doing, others } => {
                to.number(5).number(doing.step);
                match &doing.waits {
                    None => to.number(0),
                    Some((at, waited)) => {
                        to.number(1).bytes(at.as_bytes()).number(waited.as_millis() as u64)
                    }
                };
                to.bytes(others.as_bytes())
            }
            Self::Words { what, bytes } => to.number(6).bytes(what.as_bytes()).bytes(bytes),
            Self::AllWords { words } => {
                to.number(7).number(words.len() as u64);
                for words in words {
                    to.bytes(words);
                }
                &mut to
            }
            Self::Part => to.number(8),
            Self::Parted => to.number(9),
            Self::Fail { why } => to.number(10).bytes(why.as_bytes()),
            Self::Lost { lost: Lost { kind, message } } => {
                let kind = match kind {
                    Kind::Peer => 0,
                    Kind::Failed => 1,
                    Kind::Disagree => 2,
                };
                to.number(11).number(kind).bytes(message.as_bytes())
            }
        };
        to.0
    }

    /// None for bytes that are no message.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Reader(bytes);
        let message = match from.number()? {
            0 => {
                let (protocol, keyed) = (from.number()?, from.yes()?);
                Self::Hello { protocol, keyed, nonce: from.array()? }
            }
            1 => {
                let keyed = from.yes()?;
                Self::Challenge { keyed, nonce: from.array()?, proof: from.array()? }
            }
            2 => Self::Introduction { proof: from.array()?, about: from.bytes()?.to_vec() },
            3 => {
                let members = from.many(|from| {
                    let (rank, host) = (from.size()?, from.text()?);
                    let (pid, local_rank) = (u32::try_from(from.number()?).ok()?, from.size()?);
                    Some(Member { rank, host, pid, local_rank })
                });
                Self::Welcome { members: members? }
            }
            4 => Self::Refusal { why: from.text()? },
            5 => {
                let step = from.number()?;
                let waits = match from.number()? {
                    0 => None,
                    1 => Some((from.text()?, Duration::from_millis(from.number()?))),
                    _ => return None,
                };
                Self::Beat { doing: Doing { step, waits }, others: from.text()? }
            }
            6 => Self::Words { what: from.text()?, bytes: from.bytes()?.to_vec() },
            7 => Self::AllWords { words: from.many(|from| Some(from.bytes()?.to_vec()))? },
            8 => Self::Part,
            9 => Self::Parted,
            10 => Self::Fail { why: from.text()? },
            11 => {
                let kind = match from.number()? {
                    0 => Kind::Peer,
                    1 => Kind::Failed,
                    2 => Kind::Disagree,
                    _ => return None,
                };
                Self::Lost { lost: Lost::new(kind, from.text()?) }
            }
            _ => return None,
        };
        from.0.is_empty().then_some(message)
    }
}

impl Introduction {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer(Vec::new());
        to.number(self.rank as u64).number(self.world as u64);
        to.bytes(self.host.as_bytes()).number(u64::from(self.pid));
        to.number(self.card.len() as u64);
        for (name, value) in &self.card {
            to.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        to.0
    }

    /// None for bytes that are no introduction.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut Reader(bytes);
        let (rank, world) = (from.size()?, from.size()?);
        let (host, pid) = (from.text()?, u32::try_from(from.number()?).ok()?);
        let card = from.many(|from| Some((from.text()?, from.text()?)))?;
        from.0.is_empty().then_some(Self { rank, world, host, pid, card })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).0.extend(bytes);
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn yes(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.size()?;
        self.take(length)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes()?.try_into().ok()
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    /// A number, and as many of these. What comes is believed only as far as there are bytes for it.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let number = self.size()?;
        let mut all = Vec::new();
        for _ in 0..number {
            all.push(one(self)?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Message> {
        let member =
            |rank| Member { rank, host: format!("h{rank}"), pid: 7 + rank as u32, local_rank: 0 };
        let waits = Some(("`sum` of program `d`".to_string(), Duration::from_millis(1500)));
        vec![
            Message::Hello { protocol: 1, keyed: true, nonce: [1; 32] },
            Message::Challenge { keyed: false, nonce: [2; 32], proof: [3; 32] },
            Message::Introduction { proof: [4; 32], about: vec![5; 6] },
            Message::Welcome { members: vec![member(0), member(1)] },
            Message::Refusal { why: "no".to_string() },
            Message::Beat { doing: Doing { step: 9, waits }, others: "ö".to_string() },
            Message::Beat { doing: Doing::default(), others: String::new() },
            Message::Words { what: "hash".to_string(), bytes: vec![0, 255] },
            Message::AllWords { words: vec![vec![], vec![1]] },
            Message::Part,
            Message::Parted,
            Message::Fail { why: "disk full".to_string() },
            Message::Lost { lost: Lost::new(Kind::Disagree, "a and b") },
        ]
    }

    #[test]
    fn messages_come_back() {
        for message in all() {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        let card = vec![("version".to_string(), "1".to_string())];
        let me = Introduction { rank: 1, world: 2, host: "h".to_string(), pid: 3, card };
        assert_eq!(Introduction::decode(&me.encode()), Some(me));
    }

    #[test]
    fn cut_or_changed_bytes_are_no_message_or_another_one() {
        for message in all() {
            let bytes = message.encode();
            for length in 0..bytes.len() {
                assert_eq!(Message::decode(&bytes[..length]), None, "{message:?} cut at {length}");
            }
            assert_eq!(Message::decode(&[&bytes[..], &[0]].concat()), None);
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0xff;
                assert_ne!(Message::decode(&bytes).as_ref(), Some(&message));
            }
        }
    }
}
