//! What adds up gradients: threads or MPI on cores, NCCL on GPUs.

use super::{Adds, Rank, last_words};
use crate::command::Failure;
use collective::mpi::{Mpi, MpiEngine};
use collective::{Engine, Group, Lost, pmi};
use cuda::{AllReduce, Communicator, CudaError, Found, UniqueId};
use std::sync::Arc;
use std::time::Duration;
use train::Peers;

impl Rank {
    /// What adds up on cores; nothing where there is one rank. Called once, in the rank's own thread.
    ///
    /// # Errors
    /// No MPI, or one that does not find the other ranks.
    pub fn engine(&self) -> Result<Option<Box<dyn Engine>>, Failure> {
        if self.world() == 1 {
            return Ok(None);
        }
        let mut adds = self.adds();
        let mpi = match &mut *adds {
            Adds::Threads(engine) => {
                let engine = engine.take().ok_or("a rank has one device")?;
                return Ok(Some(engine));
            }
            Adds::Mpi(mpi) => Arc::clone(mpi),
            Adds::NotYet { native } => {
                if !*native {
                    pmi::boot(&self.group)?;
                }
                let expected = Some((self.rank(), self.world()));
                Arc::new(Mpi::init(expected, self.group.deadline(), last_words)?)
            }
        };
        *adds = Adds::Mpi(Arc::clone(&mpi));
        Ok(Some(Box::new(MpiEngine::new(&mpi, &self.group)?)))
    }

    /// What adds up on GPUs; nothing where there is one rank.
    ///
    /// # Errors
    /// Two ranks on one GPU; no NCCL; ranks that do not find each other.
    pub fn communicator(&self, gpu: &Found) -> Result<Option<Arc<dyn AllReduce>>, Failure> {
        if self.world() == 1 {
            return Ok(None);
        }
        self.refuse_shared(gpu)?;
        let id = if self.is_first() { UniqueId::new()?.bytes().to_vec() } else { Vec::new() };
        let id = self.group.all_gather("NCCL's id", &id)?.swap_remove(0);
        let id = id.try_into().map_err(|_| "rank 0 sent no id of NCCL")?;
        let (rank, world, deadline) = (self.rank(), self.world(), self.group.deadline());
        let id = UniqueId::from_bytes(id);
        let nccl = Communicator::new(gpu.ordinal, rank, world, &id, deadline)?;
        Ok(Some(Arc::new(Watched { nccl, group: Arc::clone(&self.group) })))
    }

    /// Refuses a GPU that another rank has taken.
    fn refuse_shared(&self, gpu: &Found) -> Result<(), Failure> {
        let all = self.group.all_gather("GPUs", &gpu.uuid)?;
        let own = self.rank();
        let other = all.iter().enumerate().find(|(rank, uuid)| *rank != own && **uuid == gpu.uuid);
        let Some((other, _)) = other else { return Ok(()) };
        let (me, name) = (self.me(), &gpu.name);
        let error = format!(
            "rank {own} and rank {other} use the same GPU, cuda:{} of host {} ({name}): start as many ranks \
             on a host as it has GPUs",
            gpu.ordinal, me.host
        );
        Err(error.into())
    }
}

/// NCCL, with what the group knows of lost ranks.
struct Watched {
    nccl: Communicator,
    group: Arc<dyn Group>,
}

impl AllReduce for Watched {
    fn all_reduce(
        &self,
        from: u64,
        to: u64,
        len: usize,
        stream: &cuda::Stream,
    ) -> Result<(), CudaError> {
        self.nccl.all_reduce(from, to, len, stream)
    }

    fn world(&self) -> usize {
        self.nccl.world()
    }

    fn check(&self, waited: Duration) -> Result<(), CudaError> {
        if let Err(Lost { message, .. }) = self.group.check() {
            self.nccl.abort();
            return Err(CudaError::Lost(message));
        }
        self.nccl.check(waited)
    }
}
