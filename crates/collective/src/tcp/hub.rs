//! The thread that keeps a rank in touch with the others.

mod round;
mod serve;
mod shared;
mod tell;

pub(super) use shared::{Order, Shared, Star, State};

use super::address::wait;
use super::message::{Doing, Message};
use super::wire::{Broken, Wire};
use crate::watchdog::Watchdog;
use crate::{Kind, Lost};
use round::Round;
use rustix::event::{PollFd, PollFlags};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What all ranks together may say at a time, in bytes.
pub(super) const LARGEST: usize = 64 * 1024 * 1024;
/// The largest frame: that, the length of each, and room for names.
const FRAME: usize = LARGEST + 1024 * 1024;
/// Between two signs of life, at most.
const BEAT: Duration = Duration::from_secs(1);
/// Whoever waits longer than this is spoken of.
const LONG: Duration = Duration::from_secs(2);

/// The thread's own.
pub(super) struct Hub {
    shared: Arc<Shared>,
    peers: Vec<Peer>,
    /// Of rank 0.
    round: Round,
    /// Something comes here when there are orders.
    bell: UnixStream,
    next_beat: Instant,
    /// What all do, as rank 0 tells it.
    others: Arc<Mutex<String>>,
    /// The peers have been told of a loss.
    told: bool,
}

/// A rank at the other end of a wire: for rank 0 all others, for the others rank 0.
struct Peer {
    rank: usize,
    /// None once it has closed.
    wire: Option<Wire>,
    heard: Instant,
    doing: Doing,
    /// When it said so.
    said: Instant,
}

impl Hub {
    /// For ranks that have met. The wires of rank 0 are those of all others, in order; the others have one.
    pub fn new(
        star: Star,
        wires: Vec<Wire>,
        watchdog: Watchdog,
        others: Arc<Mutex<String>>,
    ) -> io::Result<(Arc<Shared>, Self)> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        let now = Instant::now();
        let first = if star.rank == 0 { 1 } else { 0 };
        let peer = |(at, wire)| Peer {
            rank: first + at,
            wire: Some(wire),
            heard: now,
            doing: Doing::default(),
            said: now,
        };
        let peers = wires.into_iter().enumerate().map(peer).collect();
        let round = Round::new(star.members.len());
        let shared = Arc::new(Shared::new(star, rope, watchdog));
        let hub = Self {
            shared: Arc::clone(&shared),
            peers,
            round,
            bell,
            next_beat: now,
            others,
            told: false,
        };
        Ok((shared, hub))
    }

    /// Until the group is dropped. Nothing in here waits but [`Hub::sleep`].
    pub fn run(mut self) {
        loop {
            self.sleep();
            // What has come is read before anybody is called silent: this process may have been stopped.
            self.read();
            if !self.obey() {
                return self.close();
            }
            self.judge();
            self.beat();
            self.write();
        }
    }

    fn leads(&self) -> bool {
        self.shared.star.rank == 0
    }

    /// Whether ranks still depend on each other.
    fn is_on(&self) -> bool {
        self.shared.lost().is_none() && !self.shared.state().parted
    }

    fn sleep(&mut self) {
        let mut sockets = vec![PollFd::new(&self.bell, PollFlags::IN)];
        for wire in self.peers.iter().filter_map(|peer| peer.wire.as_ref()) {
            let mut events = PollFlags::IN;
            if wire.is_behind() {
                events |= PollFlags::OUT;
            }
            sockets.push(PollFd::new(&wire.stream, events));
        }
        wait(&mut sockets, self.next_beat.saturating_duration_since(Instant::now()));
        let mut rung = [0; 64];
        while matches!(self.bell.read(&mut rung), Ok(read) if read > 0) {}
    }

    fn read(&mut self) {
        for at in 0..self.peers.len() {
            while let Some(wire) = &mut self.peers[at].wire {
                match wire.next(FRAME) {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        self.peers[at].heard = Instant::now();
                        match Message::decode(&frame) {
                            Some(message) => self.hear(at, message),
                            None => self.gone(at, &Broken::Foreign("nonsense".to_string())),
                        }
                    }
                    Err(broken) => self.gone(at, &broken),
                }
            }
        }
        self.note_alone();
    }

    /// A peer that has closed, in whatever way.
    fn gone(&mut self, at: usize, broken: &Broken) {
        self.peers[at].wire = None;
        if self.is_on() {
            self.lose(Lost::new(Kind::Peer, self.left(at, broken)));
        }
    }

    /// Looks for who is silent, and who does not come to an exchange.
    fn judge(&mut self) {
        if !self.is_on() {
            return;
        }
        let (now, deadline) = (Instant::now(), self.shared.star.deadline);
        let silent = |peer: &Peer| now.saturating_duration_since(peer.heard) > deadline;
        if let Some(at) = self.peers.iter().position(silent) {
            return self.lose(Lost::new(Kind::Peer, self.silent(at)));
        }
        if let Some(since) = self.round.since()
            && now.saturating_duration_since(since) > deadline
        {
            self.lose(Lost::new(Kind::Peer, self.late()));
        }
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + BEAT.min(self.shared.star.deadline / 4);
        if !self.is_on() {
            return;
        }
        let others = if self.leads() { self.summary() } else { String::new() };
        if self.leads() {
            self.note_others(others.clone());
        }
        let beat = Message::Beat { doing: self.shared.doing(), others }.encode();
        for at in 0..self.peers.len() {
            // A wire that is behind gets no more of them, so that they do not pile up.
            if self.peers[at].wire.as_ref().is_some_and(|wire| !wire.is_behind()) {
                self.send_to(at, &beat);
            }
        }
    }

    fn write(&mut self) {
        for at in 0..self.peers.len() {
            if let Some(Err(broken)) = self.peers[at].wire.as_mut().map(Wire::flush) {
                self.read_last(at, broken);
            }
        }
    }

    fn send(&mut self, message: &Message) {
        let frame = message.encode();
        (0..self.peers.len()).for_each(|at| self.send_to(at, &frame));
    }

    fn send_to(&mut self, at: usize, frame: &[u8]) {
        if let Some(Err(broken)) = self.peers[at].wire.as_mut().map(|wire| wire.send(frame)) {
            self.read_last(at, broken);
        }
    }

    /// A peer that takes nothing more may have said why.
    fn read_last(&mut self, at: usize, broken: Broken) {
        let words = match self.peers[at].wire.as_mut().map(|wire| wire.next(FRAME)) {
            Some(Ok(Some(frame))) => Message::decode(&frame),
            _ => None,
        };
        match words {
            Some(message) => self.hear(at, message),
            None => self.gone(at, &broken),
        }
    }

    /// Ranks cannot go on. Tells everyone before it says so here: this process may end right afterwards.
    fn lose(&mut self, lost: Lost) {
        if self.told || self.shared.state().parted {
            return;
        }
        self.told = true;
        // Peers that cannot be told now are noticed by what is lost already.
        let frame = Message::Lost { lost: lost.clone() }.encode();
        for peer in &mut self.peers {
            if let Some(wire) = &mut peer.wire {
                let _ = wire.send(&frame);
            }
        }
        self.shared.set_lost(lost);
    }

    /// Notes whether all peers have closed.
    fn note_alone(&self) {
        if self.peers.iter().all(|peer| peer.wire.is_none()) {
            self.shared.alone();
        }
    }

    fn note_others(&self, others: String) {
        *self.others.lock().unwrap_or_else(PoisonError::into_inner) = others;
    }

    fn close(&mut self) {
        for peer in &mut self.peers {
            if let Some(wire) = &mut peer.wire {
                wire.close();
            }
        }
    }
}
