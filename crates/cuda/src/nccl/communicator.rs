//! This rank's end of the connections between ranks.

use super::error::NcclError;
use super::library::{
    Answer, Config, FLOAT32, Handle, IN_PROGRESS, INVALID_USAGE, Library, SUCCESS, SUM,
};
use super::unique_id::UniqueId;
use super::{AllReduce, warm_up};
use crate::error::{CudaError, Doing};
use crate::probe;
use crate::wait::until;
use cudarc::driver::{CudaContext, CudaStream};
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// What NCCL gets for its own clearing up before it is left alone.
const CLEARING: Duration = Duration::from_secs(5);
/// What NCCL says, among other things, about two ranks on one GPU.
const DUPLICATE: &str = "Duplicate GPU";

/// Ranks that add up. Each process has one, on its device; the programs of a tape of as many ranks use it.
///
/// Dropped, it waits until its sums have ended, but not for long; graphs that hold sums have to go before it.
pub struct Communicator {
    library: &'static Library,
    context: Arc<CudaContext>,
    ordinal: usize,
    rank: usize,
    world: usize,
    deadline: Duration,
    state: Mutex<State>,
}

enum State {
    Live(Comm),
    /// Gone, and why: the first error is the one that tells something.
    Over(NcclError),
}

/// A handle that goes from thread to thread.
#[derive(Clone, Copy)]
struct Comm(Handle);

// SAFETY: NCCL takes a handle from any thread, from one at a time; the mutex around it sees to that.
unsafe impl Send for Comm {}

impl Communicator {
    /// Comes together with the other ranks, on `cuda:ordinal`, and adds up once, so that all connections
    /// are there before a graph is captured. Every rank calls this with the same id and the same `world`.
    /// `deadline` is for this, and later for each wait for the device: no queue of programs may take longer.
    ///
    /// # Errors
    /// No NCCL or an old one, no such device, two ranks on one device, ranks that do not come before the
    /// deadline.
    pub fn new(
        ordinal: usize,
        rank: usize,
        world: usize,
        id: &UniqueId,
        deadline: Duration,
    ) -> Result<Self, CudaError> {
        if rank >= world {
            return Err(CudaError::Misuse(format!("rank {rank} in a world of {world}")));
        }
        let library = Library::get()?;
        probe::device(ordinal)?;
        let context = CudaContext::new(ordinal).doing(&format!("opening cuda:{ordinal}"))?;
        let mut config = Config::non_blocking();
        let mut handle: Handle = std::ptr::null_mut();
        let [ranks, own] = [world, rank].map(|n| c_int::try_from(n).expect("fewer than 2³¹ ranks"));
        // SAFETY: the call reads the configuration, whose size it is told, and writes the handle.
        let answer =
            unsafe { (library.init)(&raw mut handle, ranks, id.raw(), own, &raw mut config) };
        if handle.is_null() || !matches!(answer, SUCCESS | IN_PROGRESS) {
            return Err(library.refused(answer, "looking for the other ranks").into());
        }
        let state = Mutex::new(State::Live(Comm(handle)));
        let new = Self { library, context, ordinal, rank, world, deadline, state };
        new.come_together()?;
        warm_up::warm_up(&new, &new.context)?;
        tracing::debug!(rank, world, nccl = ?library.version, "ranks have come together");
        Ok(new)
    }

    /// Whether the other ranks are there, as far as NCCL knows. Never waits.
    ///
    /// # Errors
    /// The failure of a peer or of the network; the same again once this rank has left.
    pub fn health(&self) -> Result<(), CudaError> {
        match self.ask()? {
            SUCCESS | IN_PROGRESS => Ok(()),
            failure => Err(self.lost(failure)),
        }
    }

    /// Leaves: sums under way end without a result, on this rank at once, on others when NCCL tells them.
    /// Good from any thread, while another waits for the device.
    pub fn abort(&self) {
        self.give_up(NcclError::Left { rank: self.rank, world: self.world });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How what was last begun stands.
    fn ask(&self) -> Result<Answer, CudaError> {
        match &*self.state() {
            State::Over(why) => Err(why.clone().into()),
            State::Live(comm) => {
                let mut stands = SUCCESS;
                // SAFETY: the handle is alive; the call writes one integer.
                let answer = unsafe { (self.library.async_error)(comm.0, &raw mut stands) };
                Ok(if answer == SUCCESS { stands } else { answer })
            }
        }
    }

    fn come_together(&self) -> Result<(), CudaError> {
        let Self { ordinal, rank, world, deadline, .. } = *self;
        let come = || match self.ask()? {
            SUCCESS => Ok(true),
            IN_PROGRESS => Ok(false),
            failure => {
                let why = self.library.said(failure);
                Err(self.give_up(match failure {
                    INVALID_USAGE if why.contains(DUPLICATE) => {
                        NcclError::SharedDevice { rank, world, ordinal }
                    }
                    _ => NcclError::Refused { doing: "finding the other ranks".to_string(), why },
                }))
            }
        };
        until(come, |waited| match waited > deadline {
            true => {
                Err(self.give_up(NcclError::Alone { rank, world, seconds: deadline.as_secs() }))
            }
            false => Ok(()),
        })
    }

    fn lost(&self, failure: Answer) -> CudaError {
        let Self { rank, world, .. } = *self;
        self.give_up(NcclError::Lost { rank, world, why: self.library.said(failure) })
    }

    /// Leaves because of this, unless it has left before; tells why.
    fn give_up(&self, why: NcclError) -> CudaError {
        let mut state = self.state();
        let comm = match &*state {
            State::Over(first) => return first.clone().into(),
            State::Live(comm) => *comm,
        };
        *state = State::Over(why.clone());
        drop(state);
        self.release(comm, self.library.abort);
        why.into()
    }

    /// Hands a handle that nobody has any more back, in a thread of its own: NCCL may never come to an end.
    fn release(&self, comm: Comm, call: unsafe extern "C" fn(Handle) -> Answer) {
        let context = Arc::clone(&self.context);
        let (done, ended) = mpsc::channel();
        let released = thread::Builder::new().name("nccl".to_string()).spawn(move || {
            let comm = comm;
            let _ = context.bind_to_thread();
            // SAFETY: taken out of the state, so that nobody calls with it now or later.
            let answer = unsafe { call(comm.0) };
            let _ = done.send(answer);
        });
        if released.is_err() || ended.recv_timeout(CLEARING).is_err() {
            tracing::warn!(rank = self.rank, "NCCL does not clear up; it is left as it is");
        }
    }
}

impl AllReduce for Communicator {
    fn all_reduce(
        &self,
        from: u64,
        to: u64,
        len: usize,
        stream: &CudaStream,
    ) -> Result<(), CudaError> {
        let answer = match &*self.state() {
            State::Over(why) => return Err(why.clone().into()),
            // SAFETY: both places hold `len` numbers for as long as the stream may run, as the trait asks
            // of its caller; handle and stream are alive.
            State::Live(comm) => unsafe {
                (self.library.all_reduce)(
                    from as *const _,
                    to as *mut _,
                    len,
                    FLOAT32,
                    SUM,
                    comm.0,
                    stream.cu_stream().cast(),
                )
            },
        };
        self.library.answer(answer, "adding up over ranks")?;
        // A thread of NCCL may be putting it onto the stream: nothing else may be put there before.
        let issued = || match self.ask()? {
            SUCCESS => Ok(true),
            IN_PROGRESS => Ok(false),
            failure => Err(self.lost(failure)),
        };
        until(issued, |waited| self.check(waited))
    }

    fn world(&self) -> usize {
        self.world
    }

    fn check(&self, waited: Duration) -> Result<(), CudaError> {
        self.health()?;
        let Self { rank, world, deadline, .. } = *self;
        match waited > deadline {
            true => Err(self.give_up(NcclError::Late { rank, world, seconds: deadline.as_secs() })),
            false => Ok(()),
        }
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        let comm = match &*self.state() {
            State::Live(comm) => *comm,
            State::Over(_) => return,
        };
        let _ = self.context.bind_to_thread();
        // SAFETY: the handle is alive.
        let answer = unsafe { (self.library.finalize)(comm.0) };
        let late = |waited| match waited > CLEARING {
            true => Err(CudaError::Misuse("sums go on".to_string())),
            false => Ok(()),
        };
        let ended = self.library.answer(answer, "ending").and_then(|()| {
            until(
                || match self.ask()? {
                    SUCCESS => Ok(true),
                    IN_PROGRESS => Ok(false),
                    failure => Err(self.library.refused(failure, "ending").into()),
                },
                late,
            )
        });
        let call = if ended.is_ok() { self.library.destroy } else { self.library.abort };
        *self.state() = State::Over(NcclError::Left { rank: self.rank, world: self.world });
        self.release(comm, call);
    }
}
