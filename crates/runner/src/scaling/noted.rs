//! An engine that notes what another one is asked for.

use collective::{Engine, Lost, Numbers, Place, Ticket};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A sum, and when it was what.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Where it stands.
    pub place: Arc<Place>,
    /// Bytes that are added up.
    pub bytes: usize,
    /// When somebody had to have it.
    pub asked: Option<Instant>,
    /// When it was there.
    pub back: Option<Instant>,
}

/// One rank's engine, with notes of what it does. A copy is the same engine, so several devices may use it one
/// after the other.
#[derive(Clone)]
pub(crate) struct Notes(Arc<Mutex<Inner>>);

struct Inner {
    engine: Box<dyn Engine>,
    notes: Vec<Note>,
    /// Which note is about a sum that was not asked for. A ticket can be hashed and not copied.
    open: HashMap<u64, usize>,
}

impl Notes {
    /// Of an engine from here on.
    pub fn new(engine: Box<dyn Engine>) -> Self {
        Self(Arc::new(Mutex::new(Inner { engine, notes: Vec::new(), open: HashMap::new() })))
    }

    /// What was noted since it was last taken. No sum is under way.
    pub fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.inner().notes)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(ticket: &Ticket) -> u64 {
    let mut hasher = DefaultHasher::new();
    ticket.hash(&mut hasher);
    hasher.finish()
}

impl Engine for Notes {
    unsafe fn begin(&mut self, numbers: Numbers, place: &Arc<Place>) -> Result<Ticket, Lost> {
        let mut inner = self.inner();
        // SAFETY: as this function's caller promises.
        let ticket = unsafe { inner.engine.begin(numbers, place) }?;
        let at = inner.notes.len();
        inner.open.insert(key(&ticket), at);
        let (place, bytes) = (Arc::clone(place), numbers.bytes());
        inner.notes.push(Note { place, bytes, asked: None, back: None });
        Ok(ticket)
    }

    fn poll(&mut self) -> Result<(), Lost> {
        self.inner().engine.poll()
    }

    fn finish(&mut self, ticket: Ticket) -> Result<(), Lost> {
        let mut inner = self.inner();
        let (key, asked) = (key(&ticket), Instant::now());
        inner.engine.finish(ticket)?;
        let back = Instant::now();
        if let Some(note) = inner.open.remove(&key) {
            // Gone where notes were taken while it was under way.
            if let Some(note) = inner.notes.get_mut(note) {
                (note.asked, note.back) = (Some(asked), Some(back));
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.inner().engine.describe()
    }
}
