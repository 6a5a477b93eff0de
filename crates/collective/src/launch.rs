//! Who started this process, as which rank of how many.
//!
//! Launchers tell it by variables of the environment, each by its own. They are nested (`mpirun` in a Slurm
//! step, `torchrun` on each node of one), so that several may be set; what they say must fit together.

mod address;
mod error;
mod family;
mod slurm;
#[cfg(test)]
mod tests;

pub use error::LaunchError;

use family::Claim;
use std::cell::RefCell;
use std::fmt;

/// What started this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Nobody that we know: one rank.
    Alone,
    /// Somebody who sets `DUEL_RANK` and `DUEL_WORLD_SIZE`.
    Own,
    /// `torchrun`, or whoever sets `RANK` and `WORLD_SIZE` as it does.
    Torchrun,
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `mpiexec` of MPICH and its relatives, or `srun --mpi=pmi2`.
    Pmi,
    /// `srun --mpi=pmix`.
    Pmix,
    /// `srun` without MPI.
    Slurm,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone => "no launcher",
            Self::Own => "DUEL_RANK",
            Self::Torchrun => "torchrun",
            Self::OpenMpi => "Open MPI's mpirun",
            Self::Pmi => "PMI (MPICH's mpiexec or srun --mpi=pmi2)",
            Self::Pmix => "PMIx (srun --mpi=pmix)",
            Self::Slurm => "Slurm's srun",
        })
    }
}

/// How this process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// By whom.
    pub launcher: Launcher,
    /// As which rank.
    pub rank: usize,
    /// Of how many.
    pub world: usize,
    /// Its number among the ranks of its host, where the launcher says so.
    pub local_rank: Option<usize>,
    /// How many ranks its host has, where the launcher says so.
    pub local_world: Option<usize>,
    /// Host and port where rank 0 is met. MPI's launchers know none: the library spreads it.
    pub address: Option<(String, u16)>,
    /// How often Slurm or torchrun has started the job again. With torchrun each node counts for itself,
    /// so that ranks may see different numbers.
    pub restarts: u32,
    variables: Vec<(String, String)>,
}

impl Launch {
    /// Reads it from the environment; an empty variable counts as none. One rank where nobody says
    /// anything.
    ///
    /// # Errors
    /// Numbers that are none, a rank without a world or beyond it, launchers that contradict each other,
    /// a rank that counts nodes, an address or a port that is missing where it is needed.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Result<Self, LaunchError> {
        let env = Environment { get: &env, read: RefCell::default() };
        let Some(claim) = family::choose(&env)? else {
            family::refuse_lost_nodes(&env)?;
            return Ok(Self::of(Claim::alone(), None, 0, env));
        };
        let address = address::find(&env, &claim)?;
        let restarts = restarts(&env)?;
        Ok(Self::of(claim, address, restarts, env))
    }

    fn of(
        claim: Claim,
        address: Option<(String, u16)>,
        restarts: u32,
        env: Environment<'_>,
    ) -> Self {
        let Claim { launcher, rank, world, local_rank, local_world, .. } = claim;
        let variables = env.read.into_inner();
        Self { launcher, rank, world, local_rank, local_world, address, restarts, variables }
    }

    /// The variables that it was read from, with their values, in the order of reading.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// In words, for people: all of it, and the variables that say so.
    pub fn describe(&self) -> String {
        let mut text =
            format!("rank {} of {}, started by {}", self.rank, self.world, self.launcher);
        match (self.local_rank, self.local_world) {
            (Some(rank), Some(world)) => {
                text += &format!("; on its host, rank {rank} of {world}");
            }
            (Some(rank), None) => text += &format!("; on its host, rank {rank}"),
            _ => {}
        }
        if let Some((host, port)) = &self.address {
            text += &format!("; rank 0 is met at {host}, port {port}");
        }
        if self.restarts > 0 {
            text += &format!("; started again {} times", self.restarts);
        }
        if !self.variables.is_empty() {
            let said: Vec<_> = self.variables.iter().map(|(k, v)| format!("{k}={v}")).collect();
            text += &format!("; read from {}", said.join(", "));
        }
        text
    }
}

fn restarts(env: &Environment<'_>) -> Result<u32, LaunchError> {
    let mut sum = 0u32;
    for name in ["SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"] {
        let count = env.number(name)?.unwrap_or(0);
        sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }
    Ok(sum)
}

/// The environment, and what was read from it.
struct Environment<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    read: RefCell<Vec<(String, String)>>,
}

impl Environment<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let value = (self.get)(name).filter(|value| !value.is_empty())?;
        let mut read = self.read.borrow_mut();
        if !read.iter().any(|(known, _)| known == name) {
            read.push((name.to_string(), value.clone()));
        }
        Some(value)
    }

    fn number(&self, name: &str) -> Result<Option<usize>, LaunchError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(LaunchError::NotANumber { name: name.to_string(), value }),
        }
    }
}
