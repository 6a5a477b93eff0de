//! Sums by MPI.

use super::error::MpiError;
use super::patience::{Patience, beside};
use super::process::Mpi;
use super::sums::{Sums, Trouble};
use crate::{Engine, Group, Kind, Lost, Numbers, Place, Ticket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the progress thread looks at sums under way. A look costs a microsecond, and in this time a
/// link of 100 Gbit/s carries what is under way.
const LOOK: Duration = Duration::from_micros(300);
/// After so long without a sum the progress thread lies down until the next.
const DOZE: Duration = Duration::from_millis(50);
/// How often the group is asked whether all are still there.
const ASK: Duration = Duration::from_millis(1);

/// Adds up by MPI.
///
/// MPI moves numbers only while it is called. That is done between operations by [`Engine::poll`], and behind
/// long ones by a thread that looks every 300 µs; a library that allows no second thread goes without it,
/// and then the engine has to be called from the thread that has started MPI.
///
/// After an error nothing of MPI is called any more; peers may still write to memory that was handed over.
pub struct MpiEngine {
    shared: Arc<Shared>,
    progress: Option<JoinHandle<()>>,
}

struct Shared {
    mpi: Arc<Mpi>,
    group: Arc<dyn Group>,
    patience: Patience,
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    sums: Sums,
    lost: Option<Lost>,
    asked: Instant,
    /// The progress thread has lain down.
    dozes: bool,
    stop: bool,
}

impl MpiEngine {
    /// All ranks of MPI make one, and each only one. The group has the same ranks.
    ///
    /// # Errors
    /// A group of other ranks, no thread.
    pub fn new(mpi: &Arc<Mpi>, group: &Arc<dyn Group>) -> Result<Self, MpiError> {
        let [ours, theirs] = [(mpi.rank(), mpi.world()), (group.rank(), group.world())];
        let refused = |doing: &str, why| MpiError::Refused { doing: doing.to_string(), why };
        if ours != theirs {
            let (doing, [a, b]) = ("making the engine", [ours, theirs]);
            let why = format!("rank {} of {} is rank {} of {} of the group", a.0, a.1, b.0, b.1);
            return Err(refused(doing, why));
        }
        let state = State {
            sums: Sums::default(),
            lost: None,
            asked: Instant::now(),
            dozes: false,
            stop: false,
        };
        let shared = Arc::new(Shared {
            mpi: Arc::clone(mpi),
            group: Arc::clone(group),
            patience: Patience::among(beside(group.members(), group.rank())),
            state: Mutex::new(state),
            work: Condvar::new(),
        });
        let progress = match mpi.any_thread() {
            true => {
                let thread = thread::Builder::new().name("mpi-progress".to_string());
                let shared = Arc::clone(&shared);
                let started = thread.spawn(move || shared.progress());
                Some(
                    started
                        .map_err(|why| refused("starting the progress thread", why.to_string()))?,
                )
            }
            false => {
                tracing::warn!(
                    mpi = mpi.name(),
                    "MPI allows no second thread: sums make progress between operations only"
                );
                None
            }
        };
        Ok(Self { shared, progress })
    }

    /// The right to go on.
    fn state(&self) -> Result<MutexGuard<'_, State>, Lost> {
        if !self.shared.mpi.this_thread() {
            let why =
                "MPI allows calls only from the thread that has started it, and this is another";
            return Err(Lost::new(Kind::Failed, why));
        }
        let state = self.shared.state();
        match &state.lost {
            None => Ok(state),
            Some(lost) => Err(lost.clone()),
        }
    }
}

impl Engine for MpiEngine {
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost> {
        let mut state = self.state()?;
        let mut inside = self.shared.mpi.enter().map_err(|error| self.shared.ended(&error))?;
        // SAFETY: as the caller promises, and this engine calls MPI no more after an error.
        let begun = unsafe { state.sums.begin(&mut inside, numbers, place) };
        drop(inside);
        let id = begun.map_err(|trouble| self.shared.give_up(&mut state, trouble))?;
        if state.dozes {
            self.shared.work.notify_one();
        }
        Ok(Ticket(id))
    }

    fn poll(&mut self) -> Result<(), Lost> {
        let mut state = self.state()?;
        self.shared.advance(&mut state)?;
        self.shared.ask(&mut state)
    }

    fn finish(&mut self, ticket: Ticket) -> Result<(), Lost> {
        // Held all the time: the progress thread has nothing to do meanwhile.
        let mut state = self.state()?;
        let (group, mut patience) = (&self.shared.group, self.shared.patience);
        let (since, mut entered) = (Instant::now(), false);
        patience.renew();
        let ended = loop {
            if state.sums.done(ticket.0) {
                break Ok(());
            }
            if !entered && let Some(place) = state.sums.place(ticket.0) {
                group.enter_place(place);
                entered = true;
            }
            match self.shared.advance(&mut state) {
                Ok(true) => patience.renew(),
                Ok(false) => patience.pause(),
                Err(lost) => break Err(lost),
            }
            if let Err(lost) = self.shared.ask(&mut state) {
                break Err(lost);
            }
            if since.elapsed() > group.deadline() && !state.sums.done(ticket.0) {
                break Err(self.shared.late(&mut state, ticket.0, since.elapsed()));
            }
        };
        if entered {
            group.leave_place();
        }
        ended
    }

    fn describe(&self) -> String {
        format!("MPI ({})", self.shared.mpi.name())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This rank, for people.
    fn this(&self) -> String {
        let rank = self.group.rank();
        self.group.members().get(rank).map_or_else(|| format!("rank {rank}"), ToString::to_string)
    }

    /// Looks at what is under way.
    fn advance(&self, state: &mut State) -> Result<bool, Lost> {
        if state.sums.idle() {
            return Ok(false);
        }
        let mut inside = self.mpi.enter().map_err(|error| self.ended(&error))?;
        let advanced = state.sums.advance(&mut inside);
        drop(inside);
        advanced.map_err(|trouble| self.give_up(state, trouble))
    }

    /// Whether all are still there, if that was not asked just now.
    fn ask(&self, state: &mut State) -> Result<(), Lost> {
        if state.asked.elapsed() < ASK {
            return Ok(());
        }
        state.asked = Instant::now();
        self.group.check().map_err(|lost| self.lose(state, lost))
    }

    /// Nothing is called from here on.
    fn lose(&self, state: &mut State, lost: Lost) -> Lost {
        self.mpi.abandon(MpiError::Left { why: lost.message.clone() });
        state.lost.insert(lost).clone()
    }

    fn give_up(&self, state: &mut State, trouble: Trouble) -> Lost {
        let this = self.this();
        let lost = match trouble {
            Trouble::Mpi(place, why) => Lost::new(
                Kind::Peer,
                format!(
                    "{this}: the sum in {place} cannot end: {} says: {why}. Look at what the others say",
                    self.mpi.name()
                ),
            ),
            Trouble::Disagree { place, mine, range: (fewest, most) } if fewest != most => {
                Lost::new(
                    Kind::Disagree,
                    format!(
                        "{this} adds up {mine} numbers in {place}, but the ranks add up between {fewest} and \
                     {most} there. All have to run the same program with the same batch"
                    ),
                )
            }
            Trouble::Disagree { place, mine, .. } => Lost::new(
                Kind::Disagree,
                format!(
                    "{this} adds up {mine} numbers in {place}, but another rank is elsewhere or has numbers \
                     of another type: look at what the others say. All have to run the same program"
                ),
            ),
        };
        self.lose(state, lost)
    }

    fn late(&self, state: &mut State, id: u64, waited: Duration) -> Lost {
        let place = state.sums.place(id).map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "{} waited {:.1} s for the others in {place}, and one of them has not come there. Look at what \
             they say",
            self.this(),
            waited.as_secs_f64()
        );
        self.lose(state, Lost::new(Kind::Peer, message))
    }

    fn ended(&self, error: &MpiError) -> Lost {
        Lost::new(Kind::Failed, format!("{}: {error}", self.this()))
    }

    /// What the progress thread does.
    fn progress(&self) {
        let (mut state, mut worked) = (self.state(), Instant::now());
        while !state.stop && state.lost.is_none() {
            if worked.elapsed() < DOZE {
                let (woken, _) =
                    self.work.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
                state = woken;
            } else {
                state.dozes = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.dozes = false;
                worked = Instant::now();
                continue;
            }
            if state.stop || state.lost.is_some() || state.sums.idle() {
                continue;
            }
            worked = Instant::now();
            // Kept in the state for the rank's own thread.
            let _ = self.advance(&mut state);
        }
    }
}

impl Drop for MpiEngine {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.stop = true;
        if !state.sums.idle() {
            let why = "sums were begun and not finished".to_string();
            self.shared.mpi.abandon(MpiError::Left { why });
        }
        drop(state);
        self.shared.work.notify_one();
        if let Some(progress) = self.progress.take() {
            let _ = progress.join();
        }
    }
}
