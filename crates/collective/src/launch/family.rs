//! The variables of each launcher, and whether what they say fits together.

use super::slurm;
use super::{Environment, LaunchError, Launcher};

/// What a launcher says of this process.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub launcher: Launcher,
    pub rank: usize,
    pub world: usize,
    pub local_rank: Option<usize>,
    pub local_world: Option<usize>,
    names: [&'static str; 2],
}

/// The variables by which a launcher says it.
pub(super) struct Names {
    pub launcher: Launcher,
    pub rank: &'static str,
    pub world: &'static str,
    pub local_rank: Option<&'static str>,
    pub local_world: Option<&'static str>,
}

/// Innermost first: below a step of Slurm may be `mpirun`, below that `torchrun`.
const FAMILIES: [Names; 4] = [
    Names {
        launcher: Launcher::Own,
        rank: "DUEL_RANK",
        world: "DUEL_WORLD_SIZE",
        local_rank: Some("DUEL_LOCAL_RANK"),
        local_world: None,
    },
    Names {
        launcher: Launcher::Torchrun,
        rank: "RANK",
        world: "WORLD_SIZE",
        local_rank: Some("LOCAL_RANK"),
        local_world: Some("LOCAL_WORLD_SIZE"),
    },
    Names {
        launcher: Launcher::OpenMpi,
        rank: "OMPI_COMM_WORLD_RANK",
        world: "OMPI_COMM_WORLD_SIZE",
        local_rank: Some("OMPI_COMM_WORLD_LOCAL_RANK"),
        local_world: Some("OMPI_COMM_WORLD_LOCAL_SIZE"),
    },
    Names {
        launcher: Launcher::Pmi,
        rank: "PMI_RANK",
        world: "PMI_SIZE",
        local_rank: Some("MPI_LOCALRANKID"),
        local_world: Some("MPI_LOCALNRANKS"),
    },
];

impl Claim {
    /// Of a process that nobody says anything about.
    pub fn alone() -> Self {
        Self {
            launcher: Launcher::Alone,
            rank: 0,
            world: 1,
            local_rank: None,
            local_world: None,
            names: [""; 2],
        }
    }

    /// In words, with the variables.
    fn said(&self) -> String {
        let [rank, world] = self.names;
        format!("{rank}={} and {world}={}", self.rank, self.world)
    }

    fn same(&self, other: &Self) -> bool {
        (self.rank, self.world) == (other.rank, other.world)
    }
}

impl Names {
    /// What this launcher says, if anything.
    pub fn claim(&self, env: &Environment<'_>) -> Result<Option<Claim>, LaunchError> {
        let half = |set: &str, value: usize, missing: &str| LaunchError::HalfSet {
            set: set.to_string(),
            value: value.to_string(),
            missing: missing.to_string(),
        };
        let beyond = |name: &str, rank, world_name: &str, world| LaunchError::Beyond {
            name: name.to_string(),
            rank,
            world_name: world_name.to_string(),
            world,
        };
        let (rank, world) = match (env.number(self.rank)?, env.number(self.world)?) {
            (None, None) => return Ok(None),
            (Some(rank), None) => return Err(half(self.rank, rank, self.world)),
            (None, Some(world)) => return Err(half(self.world, world, self.rank)),
            (Some(rank), Some(world)) => (rank, world),
        };
        if rank >= world {
            return Err(beyond(self.rank, rank, self.world, world));
        }
        let local = |name: Option<&str>| name.map_or(Ok(None), |name| env.number(name));
        let (local_rank, local_world) = (local(self.local_rank)?, local(self.local_world)?);
        if let (Some(at), Some(of), Some(name), Some(of_name)) =
            (local_rank, local_world, self.local_rank, self.local_world)
            && at >= of
        {
            return Err(beyond(name, at, of_name, of));
        }
        let names = [self.rank, self.world];
        let claim = Claim { launcher: self.launcher, rank, world, local_rank, local_world, names };
        self.refuse_nodes(&claim)?;
        Ok(Some(claim))
    }

    /// Ranks are at least as many as those of one host, and are numbered so that none is smaller than its
    /// number on its host: else they count nodes.
    fn refuse_nodes(&self, claim: &Claim) -> Result<(), LaunchError> {
        if !matches!(self.launcher, Launcher::Own | Launcher::Torchrun) {
            return Ok(());
        }
        let local_rank = self.local_rank.zip(claim.local_rank).filter(|(_, at)| *at > claim.rank);
        let local_world = self.local_world.zip(claim.local_world);
        match local_rank.or(local_world.filter(|(_, of)| *of > claim.world)) {
            None => Ok(()),
            Some((name, value)) => Err(LaunchError::CountsNodes {
                said: format!("{}, but {name}={value}", claim.said()),
            }),
        }
    }
}

/// What the innermost launcher says, if nothing contradicts it.
pub(super) fn choose(env: &Environment<'_>) -> Result<Option<Claim>, LaunchError> {
    let mut claims = Vec::new();
    for names in &FAMILIES {
        claims.extend(names.claim(env)?);
    }
    let step = slurm::claim(env)?;
    claims.extend(step.clone());
    let Some((inner, outer)) = claims.split_first() else { return Ok(None) };
    for other in outer {
        if !fits(env, inner, other, step.as_ref())? {
            return Err(LaunchError::Disagree { one: inner.said(), other: other.said() });
        }
    }
    let mut chosen = inner.clone();
    if chosen.launcher == Launcher::Torchrun && chosen.local_rank.is_none() {
        refuse_rank_of_pods(env, &chosen)?;
    }
    if let Some(same) = outer.iter().find(|other| other.same(inner)) {
        chosen.local_rank = chosen.local_rank.or(same.local_rank);
        chosen.local_world = chosen.local_world.or(same.local_world);
    }
    Ok(Some(chosen))
}

/// Whether the one launcher may have been started by the other one.
fn fits(
    env: &Environment<'_>,
    inner: &Claim,
    outer: &Claim,
    step: Option<&Claim>,
) -> Result<bool, LaunchError> {
    if inner.same(outer) || outer.world == 1 {
        return Ok(true);
    }
    // One agent of torchrun for each node, started by whatever.
    if let Some(agents) = agents(env, inner)? {
        return Ok(agents > 1 && agents <= outer.world);
    }
    // One daemon of mpirun for each node, which Slurm has started and counts; with PMI, if that is
    // Slurm's default.
    let of_step = step.is_some_and(|step| outer.same(step));
    let mpi = !matches!(inner.launcher, Launcher::Own | Launcher::Torchrun);
    Ok(of_step && slurm::one_task_a_node(env)? && (mpi || inner.world >= outer.world))
}

/// How many agents torchrun has, one for each node, if it was torchrun.
fn agents(env: &Environment<'_>, claim: &Claim) -> Result<Option<usize>, LaunchError> {
    if claim.launcher != Launcher::Torchrun {
        return Ok(None);
    }
    let told = env.number("GROUP_WORLD_SIZE")?;
    Ok(told.or(claim.local_world.filter(|of| *of > 0).map(|of| claim.world / of)))
}

/// Kubernetes gives each pod of a PyTorchJob a rank, and leaves it to torchrun to give one to each process.
fn refuse_rank_of_pods(env: &Environment<'_>, claim: &Claim) -> Result<(), LaunchError> {
    match several(env, "PET_NPROC_PER_NODE") {
        None => Ok(()),
        Some(processes) => Err(LaunchError::CountsNodes {
            said: format!("{}, PET_NPROC_PER_NODE={processes} and no LOCAL_RANK", claim.said()),
        }),
    }
}

/// Variables that tell torchrun what to start, where no torchrun was started: each pod would be a world of
/// its own.
pub(super) fn refuse_lost_nodes(env: &Environment<'_>) -> Result<(), LaunchError> {
    for name in ["PET_NNODES", "PET_NPROC_PER_NODE"] {
        if let Some(number) = several(env, name) {
            return Err(LaunchError::CountsNodes {
                said: format!("{name}={number}, and neither RANK nor WORLD_SIZE"),
            });
        }
    }
    Ok(())
}

/// A number above 1. These may also hold words, such as `auto`, or a range.
fn several(env: &Environment<'_>, name: &str) -> Option<usize> {
    env.text(name)?.parse().ok().filter(|number| *number > 1)
}
