//! Ends a process that waits for ever.
//!
//! A rank that waits for others does so inside a library, and libraries do not come back when a peer is
//! gone: then only the end of the process helps. Those who wait with a deadline of their own come first.

use crate::{LOST_STATUS, Lost, Member, Place};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What whoever waits gets beyond the deadline, to come to an end by itself.
const BEYOND: Duration = Duration::from_secs(3);
/// What it gets once it is known that a peer is lost.
const AFTER_LOSS: Duration = Duration::from_secs(5);
/// How often it looks.
const TICK: Duration = Duration::from_millis(250);
/// What the last words get: standard error may lead into a pipe that nobody reads any more.
const WORDS: Duration = Duration::from_secs(2);

/// Whom a watchdog watches.
pub struct Watched {
    /// This rank.
    pub me: Member,
    /// How long it may wait for others.
    pub deadline: Duration,
    /// Where the last words go.
    pub last_words: fn(&str),
    /// What the others do, as far as it is known; may be empty.
    pub others: Box<dyn Fn() -> String + Send + Sync>,
}

/// Knows in which step a rank is, and where it waits for others. If it waits there 3 s longer than the
/// deadline, or 5 s longer than a loss is known, the process says so and ends, with status 76.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    watched: Watched,
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    step: u64,
    place: Option<(Arc<Place>, Instant)>,
    lost: Option<(String, Instant)>,
    over: bool,
}

impl Watchdog {
    /// Begins to watch, in a thread that ends when this is dropped.
    pub fn new(watched: Watched) -> Self {
        let shared =
            Arc::new(Shared { watched, state: Mutex::default(), over: Condvar::default() });
        let watch = Arc::clone(&shared);
        let thread = thread::Builder::new().name("watchdog".to_string()).spawn(move || {
            if let Some(last_words) = watch.watch() {
                end(watch.watched.last_words, last_words);
            }
        });
        if thread.is_err() {
            tracing::warn!("no thread for the watchdog: a wait inside a library may last for ever");
        }
        Self { shared, thread: thread.ok() }
    }

    /// The rank is in this step.
    pub fn step(&self, step: u64) {
        self.shared.state().step = step;
    }

    /// It waits there from now on.
    pub fn enter_place(&self, place: &Arc<Place>) {
        self.shared.state().place = Some((Arc::clone(place), Instant::now()));
    }

    /// It waits no longer.
    pub fn leave_place(&self) {
        self.shared.state().place = None;
    }

    /// A peer is lost, and the rank can know. The first loss counts.
    pub fn lost(&self, lost: &Lost) {
        self.shared.state().lost.get_or_insert_with(|| (lost.message.clone(), Instant::now()));
    }

    /// The step, and the place where the rank waits, since when.
    pub fn doing(&self) -> (u64, Option<(Arc<Place>, Instant)>) {
        let state = self.shared.state();
        (state.step, state.place.clone())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.over.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a reason to end, which it tells, or nobody to watch any more.
    fn watch(&self) -> Option<String> {
        let mut state = self.state();
        while !state.over {
            if let Some(why) = self.verdict(&state, Instant::now()) {
                drop(state);
                return Some(self.tell(&why));
            }
            let woken = self.over.wait_timeout(state, TICK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn verdict(&self, state: &State, now: Instant) -> Option<String> {
        let (place, since) = state.place.as_ref()?;
        let Watched { me, deadline, .. } = &self.watched;
        let (step, waited) = (state.step, now.saturating_duration_since(*since));
        let inside = format!("{me}: step {step}: {place} has not ended for {}", seconds(waited));
        if let Some((why, when)) = &state.lost {
            let known = now.saturating_duration_since(*when);
            if waited.min(known) > AFTER_LOSS {
                let known = seconds(known);
                return Some(format!("{inside}, though it is known for {known} that {why}"));
            }
        }
        let why = || format!("{inside} (the deadline is {})", seconds(*deadline));
        (waited > *deadline + BEYOND).then(why)
    }

    fn tell(&self, why: &str) -> String {
        let others = (self.watched.others)();
        let others = if others.is_empty() { others } else { format!(". Of all ranks: {others}") };
        format!(
            "{why}{others}. The library that it waits in does not return, so this process ends now, with \
             status {LOST_STATUS}"
        )
    }
}

fn end(last_words: fn(&str), text: String) -> ! {
    let (said, heard) = mpsc::channel();
    let speaker = thread::Builder::new().spawn(move || {
        last_words(&text);
        let _ = said.send(());
    });
    if speaker.is_ok() {
        let _ = heard.recv_timeout(WORDS);
    }
    signal_hook::low_level::exit(LOST_STATUS.into())
}

/// A time that was waited, for people.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 9.95 => format!("{short:.1} s"),
        long => format!("{long:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn shared(others: &'static str) -> Shared {
        let me = Member { rank: 1, host: "h".to_string(), pid: 7, local_rank: 0 };
        let watched = Watched {
            me,
            deadline: Duration::from_secs(10),
            last_words: |_| {},
            others: Box::new(move || others.to_string()),
        };
        Shared { watched, state: Mutex::default(), over: Condvar::default() }
    }

    fn place() -> Arc<Place> {
        Arc::new(Place { program: "d_step".to_string(), operation: "%7 = all_reduce".to_string() })
    }

    #[test]
    fn a_long_wait_is_told_and_a_short_one_is_not() {
        let shared = shared("rank 2 computes");
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs_f64(seconds);
        let mut state = State { step: 5, ..State::default() };
        assert_eq!(shared.verdict(&state, after(1e6)), None, "it waits nowhere");
        state.place = Some((place(), now));
        assert_eq!(shared.verdict(&state, after(12.9)), None);
        let told = shared.tell(&shared.verdict(&state, after(13.5)).unwrap());
        for part in [
            "rank 1 (host h, process 7)",
            "step 5",
            "`%7 = all_reduce` of program `d_step`",
            "14 s",
            "deadline is 10 s",
            "rank 2 computes",
            "status 76",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn after_a_loss_a_wait_is_shorter() {
        let shared = shared("");
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs_f64(seconds);
        let lost = Some(("rank 2 left early".to_string(), now));
        let mut state = State { lost, ..State::default() };
        assert_eq!(shared.verdict(&state, after(100.0)), None, "it may write a report");
        state.place = Some((place(), after(3.0)));
        assert_eq!(shared.verdict(&state, after(7.9)), None, "it has come there after the loss");
        let told = shared.verdict(&state, after(8.5)).unwrap();
        assert!(told.contains("known for 8.5 s that rank 2 left early"), "{told}");
    }

    #[test]
    fn places_come_and_go() {
        let Shared { watched, .. } = shared("");
        let watchdog = Watchdog::new(watched);
        watchdog.step(3);
        assert!(matches!(watchdog.doing(), (3, None)));
        watchdog.enter_place(&place());
        assert_eq!(watchdog.doing().1.unwrap().0, place());
        watchdog.lost(&Lost::new(Kind::Peer, "first"));
        watchdog.lost(&Lost::new(Kind::Peer, "second"));
        assert_eq!(watchdog.shared.state().lost.as_ref().unwrap().0, "first");
        watchdog.leave_place();
        assert!(watchdog.doing().1.is_none());
    }

    #[test]
    fn times_are_short() {
        let told = |s| seconds(Duration::from_secs_f64(s));
        assert_eq!((told(0.04), told(9.94), told(9.96), told(119.6)), {
            let text = |t: &str| t.to_string();
            (text("0.0 s"), text("9.9 s"), text("10 s"), text("120 s"))
        });
    }
}
