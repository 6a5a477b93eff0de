//! This process as MPI knows it.

use super::error::MpiError;
use super::inside::{Channel, Inside, Said, What};
use super::interface::Handle;
use super::library::{Library, text};
use super::patience::Patience;
use super::places::Server;
use super::watch::Watch;
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// How many numbers one call of MPI takes, whose counts are C ints.
const COUNT: usize = 1 << 30;

/// A rank of MPI.
///
/// Dropped, it stays a rank: only [`Mpi::finalize`] ends that, when all others end it too.
pub struct Mpi {
    library: &'static Library,
    rank: usize,
    world: usize,
    processor: String,
    thread: ThreadId,
    serialized: bool,
    deadline: Duration,
    inside: Mutex<Inside>,
}

impl Mpi {
    /// Starts MPI in the rank's own thread. `expected` is the rank and the number of ranks that the launcher
    /// has told. Who waits for longer than `deadline` for the others here ends the process with status 76,
    /// with words for people that `last_words` gets; later waits end with an error.
    ///
    /// No other thread may read or write the environment through C at this time: MPI does both.
    ///
    /// # Errors
    /// No library, a library that is not the launcher's, an MPI that was started before.
    pub fn init(
        expected: Option<(usize, usize)>,
        deadline: Duration,
        last_words: fn(&str),
    ) -> Result<Self, MpiError> {
        let library = Library::get()?;
        let (calls, constants) = (&library.calls, &library.constants);
        let mut started = 0;
        // SAFETY: may be asked at any time; writes one integer.
        unsafe { (calls.initialized)(&raw mut started) };
        if started != 0 {
            return Err(MpiError::Again);
        }
        // MPICH 5 would end the process without a word of ours.
        if let Some(expected) = expected.filter(|_| Server::mpirun() && !library.open_mpi) {
            return Err(other_launcher(library, None, expected));
        }
        let who = expected
            .map_or("this rank".to_string(), |(rank, world)| format!("rank {rank} of {world}"));
        let words = format!(
            "{who} waited {} s for MPI to start ({} of {}): another rank has not come. Look at what the \
             others say",
            deadline.as_secs(),
            library.name(),
            library.path.display()
        );
        let watch = Watch::over(deadline, words, last_words)?;
        let (mut level, mut rank, mut world): (c_int, c_int, c_int) = (0, 0, 0);
        let none = std::ptr::null_mut();
        // SAFETY: not started before; needs no arguments; writes one integer.
        let answer = unsafe {
            (calls.init_thread)(none, std::ptr::null_mut(), constants.serialized, &raw mut level)
        };
        library.answer(answer, "starting MPI")?;
        // SAFETY: MPI is started. The first makes it answer with errors instead of ending the process; the
        // others write one integer each.
        unsafe {
            (calls.comm_set_errhandler)(constants.world, constants.errors_return);
            library
                .answer((calls.comm_rank)(constants.world, &raw mut rank), "asking for the rank")?;
            library.answer((calls.comm_size)(constants.world, &raw mut world), "counting ranks")?;
        }
        let found = (rank.unsigned_abs() as usize, world.unsigned_abs() as usize);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(other_launcher(library, Some(found), expected));
        }
        let mut channels: [Handle; Channel::ALL] = Default::default();
        for channel in &mut channels {
            // SAFETY: MPI is started, and all ranks do the same; writes one handle. A copy answers with
            // errors, as its original does.
            let answer = unsafe { (calls.comm_dup)(constants.world, channel) };
            library.answer(answer, "making a communicator")?;
        }
        // SAFETY: MPI is started; the call writes a text and its length.
        let processor = text(|to, len| unsafe { (calls.processor_name)(to, len) });
        drop(watch);
        let (rank, world) = found;
        tracing::debug!(rank, world, level, processor, mpi = library.name(), "MPI is started");
        Ok(Self {
            library,
            rank,
            world,
            processor,
            thread: std::thread::current().id(),
            serialized: level >= constants.serialized,
            deadline,
            inside: Mutex::new(Inside::new(library, channels)),
        })
    }

    /// This rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn world(&self) -> usize {
        self.world
    }

    /// What MPI calls this machine.
    pub fn processor(&self) -> &str {
        &self.processor
    }

    /// Name and version, such as `Open MPI 4.1.4`.
    pub fn name(&self) -> String {
        self.library.name()
    }

    /// What the library says about itself, on one line.
    pub fn version(&self) -> &str {
        &self.library.version
    }

    /// The library's file.
    pub fn path(&self) -> &std::path::Path {
        &self.library.path
    }

    /// Whether other threads than the one that has started MPI may call it, one at a time
    /// (`MPI_THREAD_SERIALIZED` or more).
    pub fn any_thread(&self) -> bool {
        self.serialized
    }

    /// Whether this thread may call.
    pub(super) fn this_thread(&self) -> bool {
        self.serialized || std::thread::current().id() == self.thread
    }

    /// Rank 0's bytes, of which there are few. All ranks call it.
    ///
    /// # Errors
    /// As [`Mpi::all_gather`].
    pub fn broadcast(&self, bytes: &[u8]) -> Result<Vec<u8>, MpiError> {
        let mine = if self.rank == 0 { bytes } else { &[] };
        Ok(self.all_gather(mine)?.swap_remove(0))
    }

    /// Everyone's bytes, in the order of ranks, of which there are few. All ranks call it.
    ///
    /// # Errors
    /// What MPI says, and ranks that do not come before the deadline.
    pub fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, MpiError> {
        // Sums in which all others add zeros.
        let mut lens = vec![0; self.world];
        lens[self.rank] = bytes.len() as u64;
        let lens: Vec<usize> = self.total(lens)?.into_iter().map(|len| len as usize).collect();
        let words: Vec<usize> = lens.iter().map(|len| len.div_ceil(8)).collect();
        let mut all = vec![0; words.iter().sum()];
        let mine = words[..self.rank].iter().sum::<usize>();
        for (word, eight) in all[mine..].iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..eight.len()].copy_from_slice(eight);
            *word = u64::from_ne_bytes(padded);
        }
        let mut rest = &self.total(all)?[..];
        let part = |(len, words): (usize, usize)| {
            let (mine, others) = rest.split_at(words);
            rest = others;
            let bytes = mine.iter().flat_map(|word| word.to_ne_bytes());
            bytes.take(len).collect()
        };
        Ok(lens.into_iter().zip(words).map(part).collect())
    }

    /// Sums of few whole numbers over all ranks.
    fn total(&self, mut numbers: Vec<u64>) -> Result<Vec<u64>, MpiError> {
        const DOING: &str = "telling each other something";
        if numbers.len() > COUNT {
            let why = format!("{} bytes are too many", 8 * numbers.len());
            return Err(Said(why).during(DOING));
        }
        let mut inside = self.enter()?;
        let what = What::Total(numbers.as_mut_ptr(), numbers.len());
        // SAFETY: not ended; the numbers stay where they are until the request is done, and are given up to
        // MPI if it never is.
        let begun = unsafe { inside.begin(Channel::Control, what) };
        let (since, patience) = (Instant::now(), Patience::polite());
        let ended = begun.map_err(|why| why.during(DOING)).and_then(|mut request| {
            loop {
                // SAFETY: a request that is not done.
                if unsafe { inside.test(&mut request) }.map_err(|why| why.during(DOING))? {
                    return Ok(());
                }
                if since.elapsed() > self.deadline {
                    let Self { rank, world, deadline, .. } = *self;
                    let seconds = deadline.as_secs();
                    return Err(MpiError::Late { rank, world, seconds, doing: DOING });
                }
                patience.pause();
            }
        });
        match ended {
            Ok(()) => Ok(numbers),
            Err(error) => {
                self.leave(inside, error.clone());
                std::mem::forget(numbers);
                Err(error)
            }
        }
    }

    /// The library's own sum in place, for comparison: it blocks until all ranks have come, without a deadline.
    ///
    /// # Errors
    /// What MPI says.
    pub fn all_reduce(&self, numbers: &mut [f32]) -> Result<(), MpiError> {
        let (calls, constants) = (&self.library.calls, &self.library.constants);
        let inside = self.enter()?;
        for part in numbers.chunks_mut(COUNT) {
            // SAFETY: MPI is started and not ended; the numbers are this call's alone.
            let answer = unsafe {
                (calls.all_reduce)(
                    constants.in_place,
                    part.as_mut_ptr().cast::<c_void>(),
                    part.len() as c_int,
                    constants.f32,
                    constants.sum,
                    inside.communicator(Channel::Long),
                )
            };
            self.library.answer(answer, "adding up")?;
        }
        Ok(())
    }

    /// The right to call.
    pub(super) fn enter(&self) -> Result<MutexGuard<'_, Inside>, MpiError> {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match &inside.over {
            None => Ok(inside),
            Some(error) => Err(error.clone()),
        }
    }

    /// Never calls again.
    pub(super) fn abandon(&self, why: MpiError) {
        if let Ok(inside) = self.enter() {
            self.leave(inside, why);
        }
    }

    fn leave(&self, mut inside: MutexGuard<'_, Inside>, why: MpiError) {
        inside.over.get_or_insert(why);
    }

    /// Ends MPI, after all ranks have agreed to part. Who waits for longer than the deadline for the others
    /// ends the process with status 76.
    ///
    /// # Errors
    /// An MPI that has ended, or that was given up because of a failure: then a process ends without this.
    pub fn finalize(&self, last_words: fn(&str)) -> Result<(), MpiError> {
        let mut inside = self.enter()?;
        let Self { rank, world, deadline, .. } = self;
        let words = format!(
            "rank {rank} of {world} waited {} s for the others to end MPI. Look at what they say",
            deadline.as_secs()
        );
        let _watch = Watch::over(*deadline, words, last_words)?;
        inside.over = Some(MpiError::Ended);
        // SAFETY: started, not ended, and nobody else calls.
        let answer = unsafe { (self.library.calls.finalize)() };
        self.library.answer(answer, "ending MPI")
    }
}

fn other_launcher(
    library: &Library,
    found: Option<(usize, usize)>,
    expected: (usize, usize),
) -> MpiError {
    let server = Server::here();
    MpiError::OtherLauncher {
        path: library.path.clone(),
        version: library.version.clone(),
        found,
        expected,
        launcher: server.name(),
        fix: server.fix(),
    }
}

impl Said {
    fn during(self, doing: &str) -> MpiError {
        MpiError::Refused { doing: doing.to_string(), why: self.0 }
    }
}
