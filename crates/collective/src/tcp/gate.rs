//! Rank 0 waits for all others, and turns away those who are none of them.

mod visitor;

use super::address::{self, wait};
use super::error::Missing;
use super::message::Message;
use super::roll::{self, Introduction};
use super::wire::Wire;
use super::{At, MeetError, Meeting};
use crate::Member;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use visitor::{Shown, Visitor};

/// Beyond the ranks, so many may be at the gate at once. Then whoever has been there longest has to go.
const CROWD: usize = 128;
/// How long rank 0 stays to tell those who come late why it has come to nothing.
const LINGER: Duration = Duration::from_secs(2);
/// Turned away, and remembered.
const REMEMBERED: usize = 32;

/// Where rank 0 waits.
pub(super) struct Gate<'a> {
    meeting: &'a Meeting,
    listener: TcpListener,
    at: SocketAddr,
    me: Introduction,
    /// Whoever has come last is last.
    visitors: Vec<Visitor>,
    /// Those who have come, by rank; nobody at 0.
    guests: Vec<Option<Guest>>,
    turned_away: Vec<String>,
    /// Why it has come to nothing, once it has, and how many know.
    verdict: Option<String>,
    told: Vec<Wire>,
}

struct Guest {
    who: Introduction,
    wire: Wire,
}

/// All other ranks, by rank from 1 on, and who they are.
pub(super) struct Met {
    pub wires: Vec<Wire>,
    pub members: Vec<Member>,
    pub ip: IpAddr,
}

impl<'a> Gate<'a> {
    /// Listens.
    pub fn open(meeting: &'a Meeting, me: Introduction, end: Instant) -> Result<Self, MeetError> {
        let broken =
            |error| MeetError::System { doing: "listening for the other ranks".to_string(), error };
        make_room(meeting.world).map_err(broken)?;
        let listener = match &meeting.at {
            At::Listener(listener) => listener.try_clone().map_err(broken)?,
            At::Named { host, port } => address::listen(&me.host, host, *port, end)?,
        };
        listener.set_nonblocking(true).map_err(broken)?;
        let at = listener.local_addr().map_err(broken)?;
        Ok(Self {
            meeting,
            listener,
            at,
            me,
            visitors: Vec::new(),
            guests: (0..meeting.world).map(|_| None).collect(),
            turned_away: Vec::new(),
            verdict: None,
            told: Vec::new(),
        })
    }

    /// Waits for all, and tells all who all are, or that it has come to nothing.
    pub fn meet(mut self, end: Instant) -> Result<Met, MeetError> {
        let begun = Instant::now();
        while self.guests[1..].iter().any(Option::is_none) {
            let came = match Instant::now() < end {
                true => self.serve(end),
                false => Err(MeetError::Missing { missing: self.missing(begun.elapsed()) }),
            };
            if let Err(error) = came {
                self.dismiss(&error);
                return Err(error);
            }
        }
        self.welcome()
    }

    /// Waits a while, and hears whoever has something to say.
    fn serve(&mut self, end: Instant) -> Result<(), MeetError> {
        let now = Instant::now();
        let next = self.visitors.iter().map(|visitor| visitor.until).min().unwrap_or(end).min(end);
        let mut sockets = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let visitors = self.visitors.iter().map(|visitor| &visitor.wire);
        let guests = self.guests.iter().flatten().map(|guest| &guest.wire);
        for wire in visitors.chain(guests) {
            sockets.push(PollFd::new(&wire.stream, PollFlags::IN));
        }
        wait(&mut sockets, next.saturating_duration_since(now));
        self.admit();
        self.hear()?;
        self.count_guests()
    }

    fn admit(&mut self) {
        // Those who are let in are heard before more are: a rank says who it is at once.
        for _ in 0..CROWD {
            match self.listener.accept() {
                Ok((stream, from)) => {
                    let until = Instant::now() + self.meeting.stray;
                    match Visitor::new(stream, from, until) {
                        Ok(visitor) => self.visitors.push(visitor),
                        Err(error) => self.turn_away(from, &error.to_string()),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // It hung up before it was let in; or there are too many open files for a moment.
                Err(error) => {
                    tracing::debug!(%error, "a connection to rank 0 did not come about");
                    std::thread::sleep(Duration::from_millis(1));
                    break;
                }
            }
        }
        while self.visitors.len() > self.meeting.world + CROWD {
            let from = self.visitors.remove(0).from;
            self.turn_away(from, "too many came at once");
        }
    }

    fn hear(&mut self) -> Result<(), MeetError> {
        let mut at = 0;
        while let Some(visitor) = self.visitors.get_mut(at) {
            match visitor.show(self.meeting) {
                Shown::Nothing if Instant::now() < visitor.until => {
                    at += 1;
                    continue;
                }
                Shown::Nothing => {
                    let from = self.visitors.remove(at).from;
                    self.turn_away(from, "it did not say who it is");
                }
                Shown::Wrong(why) => {
                    let from = self.visitors.remove(at).from;
                    self.turn_away(from, &why);
                }
                Shown::Refused(error) => {
                    let Visitor { mut wire, from, .. } = self.visitors.remove(at);
                    self.turn_away(from, &error.to_string());
                    refuse(&mut wire, &error.to_string());
                }
                Shown::Fatal(error) => {
                    let visitor = self.visitors.remove(at);
                    self.told.push(visitor.wire);
                    if self.verdict.is_none() {
                        return Err(error);
                    }
                    self.tell_verdict();
                }
                Shown::Rank(who) => {
                    let visitor = self.visitors.remove(at);
                    self.seat(who, visitor.wire)?;
                }
            }
        }
        Ok(())
    }

    /// Whoever has come stays silent until all have.
    fn count_guests(&mut self) -> Result<(), MeetError> {
        for guest in self.guests.iter_mut().flatten() {
            let why = match guest.wire.next(0) {
                Ok(None) => continue,
                Ok(Some(_)) => "it spoke out of turn".to_string(),
                Err(broken) => broken.to_string(),
            };
            if self.verdict.is_none() {
                return Err(MeetError::Left { who: guest.who.name(), why });
            }
        }
        Ok(())
    }

    fn seat(&mut self, who: Introduction, wire: Wire) -> Result<(), MeetError> {
        if self.verdict.is_some() {
            self.told.push(wire);
            self.tell_verdict();
            return Ok(());
        }
        let first = self.guests.get(who.rank).and_then(Option::as_ref).map(|guest| &guest.who);
        let error = if who.world != self.me.world {
            let (there, here) = (who.world, self.me.world);
            Some(MeetError::World { who: who.name(), there, me: self.me.name(), here })
        } else if let Some(first) = first {
            let [first, second] = [first, &who].map(Introduction::process);
            Some(MeetError::Twice { rank: who.rank, first, second })
        } else {
            self.me.difference(&who).map(|difference| MeetError::Card { difference })
        };
        match error {
            Some(error) => {
                self.told.push(wire);
                Err(error)
            }
            None => {
                let rank = who.rank;
                tracing::debug!(rank, host = who.host, pid = who.pid, "a rank has come");
                self.guests[rank] = Some(Guest { who, wire });
                Ok(())
            }
        }
    }

    fn turn_away(&mut self, from: SocketAddr, why: &str) {
        tracing::debug!(%from, why, "turned away");
        if self.turned_away.len() < REMEMBERED {
            self.turned_away.push(format!("{from} ({why})"));
        }
    }

    fn missing(&self, waited: Duration) -> Box<Missing> {
        let missing = (1..self.meeting.world).filter(|&rank| self.guests[rank].is_none()).collect();
        let here = self.guests.iter().flatten().map(|guest| guest.who.name()).collect();
        let turned_away = self.turned_away.clone();
        let (me, at) = (self.me.name(), self.at);
        Box::new(Missing { me, at, waited, missing, here, turned_away })
    }

    /// Tells everyone why it has come to nothing, and for a moment those who come now: else they would look
    /// for rank 0 until their own deadline.
    fn dismiss(&mut self, error: &MeetError) {
        self.verdict = Some(error.to_string());
        let guests = self.guests.iter_mut().filter_map(Option::take);
        self.told.extend(guests.map(|guest| guest.wire));
        self.told.iter_mut().for_each(|wire| refuse(wire, &error.to_string()));
        let end = Instant::now() + LINGER;
        let late = matches!(error, MeetError::Missing { .. });
        while !late && self.told.len() < self.meeting.world - 1 && Instant::now() < end {
            if self.serve(end).is_err() {
                break;
            }
        }
    }

    /// To whoever was put last among those who are told.
    fn tell_verdict(&mut self) {
        if let (Some(wire), Some(why)) = (self.told.last_mut(), &self.verdict) {
            refuse(wire, why);
        }
    }

    fn welcome(self) -> Result<Met, MeetError> {
        let guests: Vec<_> = self.guests.into_iter().flatten().collect();
        let all: Vec<_> =
            std::iter::once(&self.me).chain(guests.iter().map(|guest| &guest.who)).collect();
        let members = roll::members(&all);
        if self.meeting.key.is_none() && members.iter().any(|other| other.host != members[0].host) {
            tracing::warn!(
                at = %self.at,
                "ranks on several hosts meet without a key: whoever reaches rank 0's port can disturb \
                 them. Set DUEL_JOB_KEY or DUEL_JOB_KEY_FILE on all ranks"
            );
        }
        let welcome = Message::Welcome { members: members.clone() }.encode();
        let mut wires = Vec::new();
        for Guest { who, mut wire } in guests {
            // Who hangs up now is lost like one who does so later.
            if let Err(why) = wire.send(&welcome) {
                tracing::debug!(rank = who.rank, %why, "a rank left as all had come");
            }
            wires.push(wire);
        }
        Ok(Met { wires, members, ip: self.at.ip() })
    }
}

/// Lets this process have as many open files as there are ranks, and some: the usual limit is 1024.
fn make_room(world: usize) -> std::io::Result<()> {
    const OTHERS: usize = 64;
    let needed = (world + OTHERS) as u64;
    let wanted = needed + CROWD as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= wanted) {
        return Ok(());
    }
    let most = limit.maximum.unwrap_or(wanted);
    if most < needed {
        return Err(std::io::Error::other(format!(
            "this process may have {most} open files, and rank 0 of {world} ranks needs {needed}: raise \
             the limit (`ulimit -Hn`)"
        )));
    }
    limit.current = Some(wanted.min(most));
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn refuse(wire: &mut Wire, why: &str) {
    let _ = wire.send(&Message::Refusal { why: why.to_string() }.encode());
    wire.close();
}
