//! Sums under way.
//!
//! A sum is cut into segments, of which a few are under way: they stay in the caches, and MPI does not have
//! to find a second place as long as the sum. Short sums have a communicator of their own, so that they do
//! not wait behind long ones, but share a link with few segments only.
//!
//! MPI promises nothing if ranks add up different lengths, so before the first sum at each place they
//! compare what they are about to do, on a third communicator. All ranks begin the same sums in the same
//! order, so on each communicator they call in the same order too.

use super::inside::{Channel, Inside, Said, What};
use super::interface::Handle;
use crate::{Numbers, Place};
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Bytes of a segment.
const SEGMENT: usize = 1 << 20;
/// How many of them are under way.
const WINDOW: usize = 4;
/// Sums of so many bytes are short: their latency counts.
const SHORT: usize = 64 << 10;

/// Why sums cannot go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What MPI says, and where.
    Mpi(Arc<Place>, String),
    /// Ranks are about to do different things.
    Disagree {
        /// Where this rank is.
        place: Arc<Place>,
        /// How many numbers it adds up there.
        mine: usize,
        /// The fewest and the most that a rank adds up.
        range: (u64, u64),
    },
}

/// All sums that were begun and are not done.
#[derive(Default)]
pub(super) struct Sums {
    next: u64,
    /// What was compared before.
    seen: HashSet<u64>,
    checks: VecDeque<Check>,
    short: Lane,
    long: Lane,
}

/// A comparison under way.
struct Check {
    id: u64,
    place: Arc<Place>,
    mine: usize,
    request: Handle,
    /// A number and its complement give least and greatest by one minimum: first for what is done, then for
    /// how many numbers. At a fixed address, since MPI writes there.
    words: Box<[u64; 4]>,
}

/// The sums of one communicator, in order.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Sum>,
    running: VecDeque<Running>,
}

/// A sum of which something was not started.
struct Sum {
    id: u64,
    numbers: Numbers,
    started: usize,
    place: Arc<Place>,
}

/// A segment under way.
struct Running {
    id: u64,
    request: Handle,
    place: Arc<Place>,
}

impl Sums {
    /// Whether all are done.
    pub fn idle(&self) -> bool {
        self.checks.is_empty() && self.short.idle() && self.long.idle()
    }

    /// Whether this one is done.
    pub fn done(&self, id: u64) -> bool {
        self.place(id).is_none()
    }

    /// Where a sum is that is not done.
    pub fn place(&self, id: u64) -> Option<&Arc<Place>> {
        self.short.place(id).or_else(|| self.long.place(id))
    }

    /// Begins a sum.
    ///
    /// # Safety
    /// The numbers stay where they are and are nobody else's until it is done.
    pub unsafe fn begin(
        &mut self,
        inside: &mut Inside,
        numbers: Numbers,
        place: &Arc<Place>,
    ) -> Result<u64, Trouble> {
        let id = self.next;
        self.next += 1;
        let mut hasher = DefaultHasher::new();
        let single = matches!(numbers, Numbers::F32(..));
        (&place.program, &place.operation, single, numbers.len()).hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.insert(hash) {
            self.compare(inside, id, hash, numbers.len(), place)?;
        }
        let lane = if numbers.bytes() <= SHORT { &mut self.short } else { &mut self.long };
        lane.waiting.push_back(Sum { id, numbers, started: 0, place: Arc::clone(place) });
        self.start(inside)?;
        Ok(id)
    }

    /// Looks at what is under way and starts what waits; tells whether something was done.
    pub fn advance(&mut self, inside: &mut Inside) -> Result<bool, Trouble> {
        let mut progress = false;
        while let Some(check) = self.checks.front_mut() {
            if !done(inside, &mut check.request, &check.place)? {
                break;
            }
            check.verdict()?;
            self.checks.pop_front();
            progress = true;
        }
        for lane in [&mut self.short, &mut self.long] {
            while let Some(running) = lane.running.front_mut() {
                if !done(inside, &mut running.request, &running.place)? {
                    break;
                }
                lane.running.pop_front();
                progress = true;
            }
        }
        if progress {
            self.start(inside)?;
        }
        Ok(progress)
    }

    /// Begins to compare with the other ranks.
    fn compare(
        &mut self,
        inside: &mut Inside,
        id: u64,
        hash: u64,
        mine: usize,
        place: &Arc<Place>,
    ) -> Result<(), Trouble> {
        let len = mine as u64;
        let mut words = Box::new([hash, !hash, len, !len]);
        let what = What::Least(words.as_mut_ptr(), words.len());
        // SAFETY: the words stay where they are until the request is done.
        let request = unsafe { inside.begin(Channel::Control, what) };
        let request = request.map_err(|Said(why)| Trouble::Mpi(Arc::clone(place), why))?;
        self.checks.push_back(Check { id, place: Arc::clone(place), mine, request, words });
        Ok(())
    }

    /// Starts what waits, if it was compared.
    fn start(&mut self, inside: &mut Inside) -> Result<(), Trouble> {
        let compared = self.checks.front().map_or(u64::MAX, |check| check.id);
        self.short.start(inside, Channel::Short, compared, usize::MAX)?;
        self.long.start(inside, Channel::Long, compared, WINDOW)
    }
}

impl Lane {
    fn idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Starts segments of sums before `compared`, until so many are under way.
    fn start(
        &mut self,
        inside: &mut Inside,
        channel: Channel,
        compared: u64,
        window: usize,
    ) -> Result<(), Trouble> {
        while self.running.len() < window
            && let Some(sum) = self.waiting.front_mut().filter(|sum| sum.id < compared)
        {
            let (segment, last) = sum.segment();
            let (id, place) = (sum.id, Arc::clone(&sum.place));
            if last {
                self.waiting.pop_front();
            }
            if segment.is_empty() {
                continue;
            }
            // SAFETY: the numbers were handed over until the sum is done.
            match unsafe { inside.begin(channel, What::Sum(segment)) } {
                Ok(request) => self.running.push_back(Running { id, request, place }),
                Err(Said(why)) => return Err(Trouble::Mpi(place, why)),
            }
        }
        Ok(())
    }

    fn place(&self, id: u64) -> Option<&Arc<Place>> {
        let waiting = self.waiting.iter().map(|sum| (sum.id, &sum.place));
        let running = self.running.iter().map(|part| (part.id, &part.place));
        running.chain(waiting).find(|(other, _)| *other == id).map(|(_, place)| place)
    }
}

impl Sum {
    /// What is to be started next, and whether that is the last of it.
    fn segment(&mut self) -> (Numbers, bool) {
        let (from, left) = (self.started, self.numbers.len() - self.started);
        let count = |width| left.min(SEGMENT / width);
        let segment = match self.numbers {
            Numbers::F32(at, _) => Numbers::F32(at.wrapping_add(from), count(size_of::<f32>())),
            Numbers::F64(at, _) => Numbers::F64(at.wrapping_add(from), count(size_of::<f64>())),
        };
        self.started += segment.len();
        (segment, segment.len() == left)
    }
}

impl Check {
    /// What came out.
    fn verdict(&self) -> Result<(), Trouble> {
        let [least, complement, fewest, most] = *self.words;
        if least == !complement {
            return Ok(());
        }
        Err(Trouble::Disagree {
            place: Arc::clone(&self.place),
            mine: self.mine,
            range: (fewest, !most),
        })
    }
}

/// Whether a request is done.
fn done(inside: &mut Inside, request: &mut Handle, place: &Arc<Place>) -> Result<bool, Trouble> {
    // SAFETY: requests are kept as long as they are not done, and whoever comes here holds the lock.
    unsafe { inside.test(request) }.map_err(|Said(why)| Trouble::Mpi(Arc::clone(place), why))
}
