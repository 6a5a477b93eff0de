//! The last few runs of programs, kept until the host knows that they were finite.

use crate::Progress;
use tape::{Clock, Program};

/// How many iterations run before the host looks at the flag. The flag is sticky: once a step was
/// not finite, nothing is updated until then.
pub(crate) const LOOK_EVERY: u64 = 16;

/// The guard writes 1 + tick % 4096 into the flag.
const TICKS: u64 = 4096;

/// One run of a program, with all that is needed to run it again.
pub(crate) struct Entry {
    pub program: Program,
    pub clock: Clock,
    pub real: Option<Vec<u8>>,
    /// Before the run.
    pub progress: Progress,
}

/// Runs since the host last looked.
#[derive(Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
    spare: Vec<Vec<u8>>,
}

impl History {
    /// Keeps a run, and a copy of its batch of real samples if it reads one.
    pub fn keep(
        &mut self,
        program: Program,
        clock: Clock,
        real: Option<&[u8]>,
        progress: Progress,
    ) {
        let real = real.map(|bytes| {
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(bytes);
            copy
        });
        self.entries.push(Entry { program, clock, real, progress });
    }

    /// Forgets runs that are known to be finite.
    pub fn clear(&mut self) {
        self.spare.extend(self.entries.drain(..).filter_map(|entry| entry.real));
    }

    /// The run that set the flag to this value.
    pub fn find(&self, fault: f64) -> Option<&Entry> {
        self.entries.iter().find(|entry| (1 + entry.clock.tick % TICKS) as f64 == fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(tick: u64) -> Clock {
        Clock { seed: 0, tick, rank: 0, scalars: Vec::new(), check: false }
    }

    #[test]
    fn the_flag_names_the_run() {
        let mut history = History::default();
        for tick in 4090..4100 {
            history.keep(Program(0), clock(tick), Some(&[tick as u8]), Progress::default());
        }
        let found = |fault| history.find(fault).map(|entry| entry.clock.tick);
        assert_eq!(found(1.0), Some(4096));
        assert_eq!(found(4096.0), Some(4095));
        assert_eq!(found(3.0), Some(4098));
        assert_eq!(found(17.0), None);
        history.clear();
        assert!(history.find(1.0).is_none());
        history.keep(Program(0), clock(1), Some(&[9, 9]), Progress::default());
        assert_eq!(history.find(2.0).unwrap().real, Some(vec![9, 9]));
    }
}
