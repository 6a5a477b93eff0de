//! What a Slurm step says.

use super::family::{Claim, Names};
use super::{Environment, LaunchError, Launcher};

/// Steps from here on are no steps that `srun` started, but the batch script itself, the shell of
/// `salloc`, and the like: one process, whatever the number of tasks of the job.
const SPECIAL: usize = 0xffff_fff0;

const NAMES: Names = Names {
    launcher: Launcher::Slurm,
    rank: "SLURM_PROCID",
    world: "SLURM_STEP_NUM_TASKS",
    local_rank: Some("SLURM_LOCALID"),
    local_world: None,
};

/// The step that this process is a task of, if it is one. A batch script has `SLURM_PROCID=0` and the job's
/// `SLURM_NTASKS`, but no step, so those alone say nothing.
pub(super) fn step(env: &Environment<'_>) -> Result<Option<usize>, LaunchError> {
    Ok(env.number("SLURM_STEP_ID")?.filter(|step| *step < SPECIAL))
}

/// What the step says of this process. `SLURM_NTASKS` is not asked: below the daemons of `mpirun` it is
/// that of the job.
pub(super) fn claim(env: &Environment<'_>) -> Result<Option<Claim>, LaunchError> {
    if step(env)?.is_none() {
        return Ok(None);
    }
    let Some(mut claim) = NAMES.claim(env)? else { return Ok(None) };
    claim.local_world = tasks_here(env)?;
    if env.number("PMIX_RANK")? == Some(claim.rank) {
        claim.launcher = Launcher::Pmix;
    }
    Ok(Some(claim))
}

/// Whether no node has more than one task: so are daemons started that start the ranks.
pub(super) fn one_task_a_node(env: &Environment<'_>) -> Result<bool, LaunchError> {
    let tasks = env.number("SLURM_STEP_NUM_TASKS")?;
    let nodes = env.number("SLURM_STEP_NUM_NODES")?;
    Ok(tasks.zip(nodes).is_some_and(|(tasks, nodes)| tasks <= nodes))
}

/// Tasks on this node, from the list of all nodes, such as `2(x3),1`.
fn tasks_here(env: &Environment<'_>) -> Result<Option<usize>, LaunchError> {
    const NAME: &str = "SLURM_STEP_TASKS_PER_NODE";
    let (Some(list), Some(node)) = (env.text(NAME), env.number("SLURM_NODEID")?) else {
        return Ok(None);
    };
    match nth_of_list(&list, node) {
        Some(tasks) => Ok(Some(tasks)),
        None => Err(LaunchError::BadList {
            name: NAME,
            value: list,
            expected: "numbers of tasks such as `2(x3),1`, one for each node",
            instead: "DUEL_RANK and DUEL_WORLD_SIZE, and unset it",
        }),
    }
}

fn nth_of_list(list: &str, mut n: usize) -> Option<usize> {
    for part in list.split(',') {
        let (tasks, times) = match part.split_once("(x") {
            Some((tasks, times)) => (tasks, times.strip_suffix(')')?.parse().ok()?),
            None => (part, 1),
        };
        if n < times {
            return tasks.parse().ok();
        }
        n -= times;
    }
    None
}

/// The first host of a list such as `gpu[003-007,9],login`.
pub(super) fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list;
    loop {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        host += &rest[..end];
        if !rest[end..].starts_with('[') {
            return (!host.is_empty() && !host.contains(']')).then_some(host);
        }
        let (range, after) = rest[end + 1..].split_once(']')?;
        let first = range.split(['-', ',']).next().unwrap_or_default();
        if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        host += first;
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_hosts() {
        for (list, first) in [
            ("a", "a"),
            ("a,b", "a"),
            ("n[3-5]", "n3"),
            ("n[003,7]", "n003"),
            ("gpu[003-004],x1", "gpu003"),
            ("r[1-2]c", "r1c"),
            ("r[1-2]c[07-9]x,z", "r1c07x"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(first), "{list}");
        }
        for bad in ["", ",a", "n[", "n[]", "n[a-b]", "n]"] {
            assert_eq!(first_host(bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_of_tasks() {
        for (list, node, tasks) in [
            ("2", 0, 2),
            ("2(x3),1", 0, 2),
            ("2(x3),1", 2, 2),
            ("2(x3),1", 3, 1),
            ("4,2(x2)", 1, 2),
        ] {
            assert_eq!(nth_of_list(list, node), Some(tasks), "{list}, node {node}");
        }
        for (bad, node) in [("2", 1), ("", 0), ("a", 0), ("2(x", 0), ("2(xa)", 0)] {
            assert_eq!(nth_of_list(bad, node), None, "{bad}, node {node}");
        }
    }
}
