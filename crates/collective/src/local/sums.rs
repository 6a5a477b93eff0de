//! Sums of numbers that threads hold: `((r₀ + r₁) + r₂) + …`, whoever computes them.

use super::{Room, told};
use crate::{Engine, Kind, Lost, Numbers, Place, Ticket};
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Numbers that a rank adds up at a time, without holding up the others.
const PART: usize = 1 << 15;
/// Numbers that are added up in one go, in the nearest cache.
const LINE: usize = 512;

/// A sum that is under way.
pub(super) struct Sum {
    /// What each rank has handed over, and where.
    handed: Vec<Option<(Numbers, Arc<Place>)>>,
    /// First number that nobody has taken on.
    next: usize,
    /// Numbers that are added up.
    done: usize,
    /// Ranks that have taken it.
    taken: usize,
}

/// One rank's end.
pub(super) struct ThreadSums {
    room: Arc<Room>,
    rank: usize,
    begun: u64,
}

impl ThreadSums {
    pub fn new(room: &Arc<Room>, rank: usize) -> Self {
        Self { room: Arc::clone(room), rank, begun: 0 }
    }

    /// Who waits, at what, and for whom.
    fn late(&self, sum: &Sum) -> Lost {
        let Self { room, rank, .. } = self;
        let missing: Vec<usize> = (0..room.world).filter(|&r| sum.handed[r].is_none()).collect();
        let step = |rank: usize| room.steps[rank].load(Ordering::Relaxed);
        let steps: Vec<String> = missing.iter().map(|&r| step(r).to_string()).collect();
        let place = sum.handed[*rank].as_ref().map(|(_, place)| place.to_string());
        let message = format!(
            "rank {rank} of {} waited {:.0} s in step {} at {} for {}, last seen in step {}",
            room.world,
            room.deadline.as_secs_f64(),
            step(*rank),
            place.unwrap_or_default(),
            told(&missing),
            steps.join(", ")
        );
        Lost::new(Kind::Peer, message)
    }
}

impl Engine for ThreadSums {
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost> {
        let Self { room, rank, .. } = self;
        let number = self.begun;
        self.begun += 1;
        let mut state = room.lock();
        if let Some(lost) = &state.lost {
            return Err(lost.clone());
        }
        let sum = state.sums.entry(number).or_insert_with(|| Sum {
            handed: vec![None; room.world],
            next: 0,
            done: 0,
            taken: 0,
        });
        let others = sum.handed.iter().enumerate();
        let other = others.filter_map(|(r, h)| h.as_ref().map(|h| (r, h))).next();
        if let Some((other, (its, there))) = other
            && (its.len(), its.bytes()) != (numbers.len(), numbers.bytes())
        {
            let message = format!(
                "rank {rank} adds up {} numbers at {place}, and rank {other} {} at {there}",
                numbers.len(),
                its.len()
            );
            return Err(room.lose(&mut state, Lost::new(Kind::Disagree, message)));
        }
        sum.handed[*rank] = Some((numbers, Arc::clone(place)));
        room.changed.notify_all();
        Ok(Ticket(number))
    }

    fn poll(&mut self) -> Result<(), Lost> {
        // Whoever waits adds up; until then the cores have better things to do.
        Ok(())
    }

    fn finish(&mut self, Ticket(number): Ticket) -> Result<(), Lost> {
        enum Next {
            Add(Vec<Numbers>, usize, usize),
            Taken,
        }
        let room = Arc::clone(&self.room);
        loop {
            let next = room.wait(
                |state| {
                    let sum = state.sums.get_mut(&number).expect("kept until all have taken it");
                    let handed: Option<Vec<Numbers>> = sum
                        .handed
                        .iter()
                        .map(|h| h.as_ref().map(|(numbers, _)| *numbers))
                        .collect();
                    let handed = handed?;
                    let len = handed[0].len();
                    if sum.next < len {
                        let from = sum.next;
                        sum.next = (from + PART).min(len);
                        return Some(Next::Add(handed, from, sum.next));
                    }
                    if sum.done < len {
                        return None;
                    }
                    sum.taken += 1;
                    if sum.taken == room.world {
                        state.sums.remove(&number);
                    }
                    Some(Next::Taken)
                },
                |state| self.late(&state.sums[&number]),
            )?;
            let Next::Add(handed, from, to) = next else { return Ok(()) };
            // SAFETY: every rank has handed its numbers over, all of one length, and takes them back only when
            // `done` says that all of them are added up; this part was taken on by this rank alone.
            unsafe { add(&handed, from, to) };
            let mut state = room.lock();
            state.sums.get_mut(&number).expect("this rank has not taken it").done += to - from;
            room.changed.notify_all();
        }
    }

    fn describe(&self) -> String {
        format!("{} ranks in one process", self.room.world)
    }
}

/// Puts the sum of numbers `from .. to` into each rank's memory.
///
/// # Safety
/// That range of each is valid, and nobody else uses it meanwhile.
unsafe fn add(ranks: &[Numbers], from: usize, to: usize) {
    /// The same for one type.
    unsafe fn typed<R: Copy + Default + AddAssign>(ranks: &[*mut R], from: usize, to: usize) {
        let mut sum = [R::default(); LINE];
        for start in (from..to).step_by(LINE) {
            let n = LINE.min(to - start);
            for (i, &rank) in ranks.iter().enumerate() {
                // SAFETY: the caller's promise; `start + n` is no more than `to`.
                let own = unsafe { std::slice::from_raw_parts(rank.add(start), n) };
                match i {
                    0 => sum[..n].copy_from_slice(own),
                    _ => sum[..n].iter_mut().zip(own).for_each(|(sum, &x)| *sum += x),
                }
            }
            for &rank in ranks {
                // SAFETY: as above; the slice before is gone.
                unsafe { std::slice::from_raw_parts_mut(rank.add(start), n) }
                    .copy_from_slice(&sum[..n]);
            }
        }
    }
    let narrow: Option<Vec<*mut f32>> = ranks
        .iter()
        .map(|numbers| match *numbers {
            Numbers::F32(start, _) => Some(start),
            Numbers::F64(..) => None,
        })
        .collect();
    let wide = || {
        ranks.iter().filter_map(|numbers| match *numbers {
            Numbers::F64(start, _) => Some(start),
            Numbers::F32(..) => None,
        })
    };
    match narrow {
        // SAFETY: the caller's promise.
        Some(narrow) => unsafe { typed(&narrow, from, to) },
        None => {
            let wide: Vec<*mut f64> = wide().collect();
            // SAFETY: the caller's promise; ranks hand over numbers of one type, as `begin` has seen.
            unsafe { typed(&wide, from, to) }
        }
    }
}
