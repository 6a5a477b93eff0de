//! Where rank 0 is met.

use super::family::Claim;
use super::slurm;
use super::{Environment, LaunchError, Launcher};

/// Ports for jobs of Slurm: below those that systems hand out themselves (32768 and up on Linux).
const SLURM_PORTS: std::ops::Range<usize> = 20_000..32_000;

/// Host and port of rank 0; none for a rank alone, and for MPI's launchers unless somebody says it.
pub(super) fn find(
    env: &Environment<'_>,
    claim: &Claim,
) -> Result<Option<(String, u16)>, LaunchError> {
    if claim.world == 1 {
        return Ok(None);
    }
    let own_port = port(env, "DUEL_PORT", u16::MAX)?;
    let step = match claim.launcher {
        // The step that started this rank itself, not a daemon that did.
        Launcher::Slurm | Launcher::Pmix => slurm::step(env)?,
        Launcher::Pmi if same_step(env, claim)? => slurm::step(env)?,
        _ => None,
    };
    let named = ["DUEL_ADDR", "MASTER_ADDR"]
        .into_iter()
        .find_map(|name| env.text(name).map(|host| (name, host)));
    let (name, host) = match (named, step) {
        (Some(named), _) => named,
        (None, Some(step)) => return of_step(env, step, own_port).map(Some),
        (None, None) => return without(claim, own_port),
    };
    // The agent of torchrun listens at MASTER_PORT itself.
    let port = match own_port {
        Some(port) => Some(port),
        None => port(env, "MASTER_PORT", u16::MAX - 1)?.map(|master| master + 1),
    };
    let port = match (port, step) {
        (Some(port), _) => port,
        (None, Some(step)) => slurm_port(env, step)?,
        (None, None) => return Err(LaunchError::NoPort { name, host }),
    };
    Ok(Some((host, port)))
}

fn port(env: &Environment<'_>, name: &'static str, most: u16) -> Result<Option<u16>, LaunchError> {
    let Some(value) = env.text(name) else { return Ok(None) };
    match value.parse() {
        Ok(port) if (1..=most).contains(&port) => Ok(Some(port)),
        _ => Err(LaunchError::BadPort { name, value, most }),
    }
}

/// Whether Slurm says of this process what PMI says: then it is Slurm's PMI.
fn same_step(env: &Environment<'_>, claim: &Claim) -> Result<bool, LaunchError> {
    let step = slurm::claim(env)?;
    Ok(step.is_some_and(|step| (step.rank, step.world) == (claim.rank, claim.world)))
}

/// Rank 0 is the first task of its step, on the first of its hosts.
fn of_step(
    env: &Environment<'_>,
    step: usize,
    port: Option<u16>,
) -> Result<(String, u16), LaunchError> {
    const NAME: &str = "SLURM_STEP_NODELIST";
    let list = env.text(NAME).unwrap_or_default();
    let Some(host) = slurm::first_host(&list) else {
        return Err(LaunchError::BadList {
            name: NAME,
            value: list,
            expected: "a list of hosts such as `gpu[003-007,9],login`",
            instead: "DUEL_ADDR to the address of rank 0's host",
        });
    };
    let port = match port {
        Some(port) => port,
        None => slurm_port(env, step)?,
    };
    Ok((host, port))
}

/// A port that all ranks of a step work out alike, and other steps are unlikely to.
fn slurm_port(env: &Environment<'_>, step: usize) -> Result<u16, LaunchError> {
    let job = env.number("SLURM_JOB_ID")?.unwrap_or(0);
    // Steps of a job lie far from those of the next jobs, which often run beside it.
    let offset = job.wrapping_add(step.wrapping_mul(1009)) % SLURM_PORTS.len();
    Ok(u16::try_from(SLURM_PORTS.start + offset).expect("the range is one of ports"))
}

/// Nobody names an address.
fn without(claim: &Claim, port: Option<u16>) -> Result<Option<(String, u16)>, LaunchError> {
    let instead = match (claim.launcher, port) {
        (Launcher::OpenMpi | Launcher::Pmi, None) => return Ok(None),
        (Launcher::OpenMpi | Launcher::Pmi, Some(port)) => {
            return Err(LaunchError::PortAlone { port });
        }
        (Launcher::Torchrun, _) => {
            ". torchrun and Kubernetes say it by MASTER_ADDR and MASTER_PORT, which are not set"
        }
        _ => "",
    };
    Err(LaunchError::NoAddress {
        rank: claim.rank,
        world: claim.world,
        launcher: claim.launcher.to_string(),
        instead,
    })
}
