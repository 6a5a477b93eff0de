//! A deadline for calls that cannot be given up.

use super::error::MpiError;
use crate::LOST_STATUS;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// As long as it is there, the process has so much time.
pub(super) struct Watch {
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Ends the process with status 76 after `deadline`, with these words.
    pub fn over(deadline: Duration, words: String, last_words: fn(&str)) -> Result<Self, MpiError> {
        let (done, ended) = mpsc::channel();
        let watch = move || {
            if ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
                last_words(&words);
                // MPI's own handlers would wait for the rank that does not come.
                signal_hook::low_level::exit(LOST_STATUS.into());
            }
        };
        let started = thread::Builder::new().name("mpi-watch".to_string()).spawn(watch);
        let thread = started.map_err(|error| MpiError::Refused {
            doing: "starting a thread that watches over MPI".to_string(),
            why: error.to_string(),
        })?;
        Ok(Self { done: Some(done), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
