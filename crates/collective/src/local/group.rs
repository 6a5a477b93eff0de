//! What threads say to each other.

use super::{Room, told};
use crate::{Group, Kind, Lost, Member, Place};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What was said at one point of the program.
pub(super) struct Words {
    what: String,
    by: Vec<Option<Vec<u8>>>,
    /// How many have heard all of it.
    heard: usize,
}

/// One of the ranks.
pub(super) struct LocalGroup {
    room: Arc<Room>,
    rank: usize,
    members: Vec<Member>,
    /// How often it has spoken.
    said: AtomicU64,
    parted: AtomicBool,
}

impl LocalGroup {
    pub fn new(room: &Arc<Room>, rank: usize) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pid = std::process::id();
        let member = |rank| Member { rank, host: host.clone(), pid, local_rank: rank };
        let members = (0..room.world).map(member).collect();
        let (said, parted) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { room: Arc::clone(room), rank, members, said, parted }
    }
}

impl Group for LocalGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn members(&self) -> &[Member] {
        &self.members
    }

    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn deadline(&self) -> Duration {
        self.room.deadline
    }

    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        let (room, world) = (&self.room, self.room.world);
        let number = self.said.fetch_add(1, Ordering::Relaxed);
        {
            let mut state = room.lock();
            let words = state.words.entry(number).or_insert_with(|| Words {
                what: what.to_string(),
                by: vec![None; world],
                heard: 0,
            });
            if words.what != what {
                let other = &words.what;
                let message = format!(
                    "rank {} of {world} speaks of {what}, and others of {other}",
                    self.rank
                );
                return Err(room.lose(&mut state, Lost::new(Kind::Disagree, message)));
            }
            words.by[self.rank] = Some(mine.to_vec());
            room.changed.notify_all();
        }
        room.wait(
            |state| {
                let words = state.words.get_mut(&number).expect("kept until all have heard");
                let all: Option<Vec<Vec<u8>>> = words.by.iter().cloned().collect();
                let all = all?;
                words.heard += 1;
                if words.heard == world {
                    state.words.remove(&number);
                }
                Some(all)
            },
            |state| {
                let by = &state.words[&number].by;
                let missing: Vec<usize> = (0..world).filter(|&r| by[r].is_none()).collect();
                let (rank, seconds) = (self.rank, room.deadline.as_secs_f64());
                let steps: Vec<String> = missing
                    .iter()
                    .map(|&r| room.steps[r].load(Ordering::Relaxed).to_string())
                    .collect();
                Lost::new(
                    Kind::Peer,
                    format!(
                        "rank {rank} of {world} waited {seconds:.0} s at {what} for {}, last seen in \
                         step {}",
                        told(&missing),
                        steps.join(", ")
                    ),
                )
            },
        )
    }

    fn step(&self, step: u64) {
        self.room.steps[self.rank].store(step, Ordering::Relaxed);
    }

    // Nothing that a thread waits for is out of reach of its deadline.
    fn enter_place(&self, _place: &Arc<Place>) {}

    fn leave_place(&self) {}

    fn check(&self) -> Result<(), Lost> {
        self.room.lock().lost.clone().map_or(Ok(()), Err)
    }

    fn fail(&self, why: &str) {
        let message = format!("rank {} of {}: {why}", self.rank, self.room.world);
        let mut state = self.room.lock();
        self.room.lose(&mut state, Lost::new(Kind::Failed, message));
    }

    fn part(&self) -> Result<(), Lost> {
        self.all_gather("the end", &[])?;
        self.parted.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for LocalGroup {
    fn drop(&mut self) {
        if !self.parted.load(Ordering::Relaxed) {
            let (rank, world) = (self.rank, self.room.world);
            let step = self.room.steps[rank].load(Ordering::Relaxed);
            let message = format!("rank {rank} of {world} left early, in step {step}");
            let mut state = self.room.lock();
            self.room.lose(&mut state, Lost::new(Kind::Peer, message));
        }
    }
}
