//! Engines that do something else than adding up, or watch it.

use collective::{Engine, Lost, Numbers, Place, Ticket};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A planted bug: batch norm's statistics are those of the world on the way forward, and those of each
/// rank on the way back.
pub struct ForwardOnly {
    inner: Box<dyn Engine>,
    world: usize,
    /// Sums that were left out, over all ranks.
    left_out: Arc<AtomicUsize>,
    /// What is added up in their place, until it is.
    idle: HashMap<String, Box<[f64]>>,
}

impl ForwardOnly {
    /// Of one of `world` ranks in double precision; counts the sums that it leaves out.
    pub fn new(inner: Box<dyn Engine>, world: usize, left_out: &Arc<AtomicUsize>) -> Box<Self> {
        Box::new(Self { inner, world, left_out: Arc::clone(left_out), idle: HashMap::new() })
    }

    /// Batch norm sums `[2c + 1]` forward and `[2c]` back, and both are recorded by the same line of the
    /// model. All other sums are recorded by the trainer.
    fn is_backward(numbers: Numbers, place: &Place) -> bool {
        place.operation.contains("crates/model/") && numbers.len().is_multiple_of(2)
    }
}

impl Engine for ForwardOnly {
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost> {
        let Numbers::F64(start, len) = numbers else { panic!("a run in double precision") };
        if !Self::is_backward(numbers, place) {
            // SAFETY: the caller's promise.
            return unsafe { self.inner.begin(numbers, place) };
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise; nobody else reads or writes them until `finish`.
        let own = unsafe { std::slice::from_raw_parts_mut(start, len) };
        // They will be divided by the number of elements of the world: this leaves the mean of this rank's.
        own.iter_mut().for_each(|sum| *sum *= self.world as f64);
        let mut idle = Box::new([0.0]);
        // SAFETY: the number is kept until the ticket comes back.
        let ticket = unsafe { self.inner.begin(Numbers::F64(idle.as_mut_ptr(), 1), place) }?;
        self.idle.insert(key(&ticket), idle);
        Ok(ticket)
    }

    fn poll(&mut self) -> Result<(), Lost> {
        self.inner.poll()
    }

    fn finish(&mut self, ticket: Ticket) -> Result<(), Lost> {
        let key = key(&ticket);
        self.inner.finish(ticket)?;
        self.idle.remove(&key);
        Ok(())
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// Adds up elsewhere, and lets the memory that was handed over hold NaN until the sum is waited for:
/// whoever reads it before is found out.
pub struct Poisoning {
    inner: Box<dyn Engine>,
    open: HashMap<String, Elsewhere>,
}

/// A sum that is under way, and where it is to be put.
struct Elsewhere {
    numbers: Box<[f32]>,
    home: *mut f32,
}

// SAFETY: an address; whoever has handed it over has promised that nobody else uses it.
unsafe impl Send for Elsewhere {}

impl Poisoning {
    /// Of one rank in single precision.
    pub fn new(inner: Box<dyn Engine>) -> Box<Self> {
        Box::new(Self { inner, open: HashMap::new() })
    }
}

impl Engine for Poisoning {
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost> {
        let Numbers::F32(home, len) = numbers else { panic!("a run in single precision") };
        // SAFETY: the caller's promise; nobody else reads or writes them until `finish`.
        let handed = unsafe { std::slice::from_raw_parts_mut(home, len) };
        let mut numbers: Box<[f32]> = (&*handed).into();
        handed.fill(f32::NAN);
        // SAFETY: the copy is kept until the ticket comes back.
        let ticket = unsafe { self.inner.begin(Numbers::F32(numbers.as_mut_ptr(), len), place) }?;
        self.open.insert(key(&ticket), Elsewhere { numbers, home });
        Ok(ticket)
    }

    fn poll(&mut self) -> Result<(), Lost> {
        self.inner.poll()
    }

    fn finish(&mut self, ticket: Ticket) -> Result<(), Lost> {
        let key = key(&ticket);
        self.inner.finish(ticket)?;
        let Elsewhere { numbers, home } = self.open.remove(&key).expect("it was begun");
        // SAFETY: the promise of who has handed it over holds until this returns.
        unsafe { std::slice::from_raw_parts_mut(home, numbers.len()) }.copy_from_slice(&numbers);
        Ok(())
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// What an engine was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sum was begun: how many before it.
    Begun(usize),
    /// It was waited for.
    Finished(usize),
}

/// Writes down when sums are begun and waited for.
pub struct Noting {
    inner: Box<dyn Engine>,
    events: Arc<Mutex<Vec<Event>>>,
    open: HashMap<String, usize>,
    begun: usize,
}

impl Noting {
    /// Writes to `events`.
    pub fn new(inner: Box<dyn Engine>, events: &Arc<Mutex<Vec<Event>>>) -> Box<Self> {
        Box::new(Self { inner, events: Arc::clone(events), open: HashMap::new(), begun: 0 })
    }

    fn note(&self, event: Event) {
        self.events.lock().expect("no rank has failed").push(event);
    }
}

impl Engine for Noting {
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost> {
        // SAFETY: the caller's promise.
        let ticket = unsafe { self.inner.begin(numbers, place) }?;
        self.note(Event::Begun(self.begun));
        self.open.insert(key(&ticket), self.begun);
        self.begun += 1;
        Ok(ticket)
    }

    fn poll(&mut self) -> Result<(), Lost> {
        self.inner.poll()
    }

    fn finish(&mut self, ticket: Ticket) -> Result<(), Lost> {
        let number = self.open.remove(&key(&ticket)).expect("it was begun");
        self.note(Event::Finished(number));
        self.inner.finish(ticket)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// What tells a ticket from others: there is one of each, and its engine wants it back.
fn key(ticket: &Ticket) -> String {
    format!("{ticket:?}")
}
