//! Environments as launchers make them.

use super::*;
use std::collections::HashMap;

fn detect(variables: &str) -> Result<Launch, LaunchError> {
    let variables: HashMap<_, _> =
        variables.split_whitespace().map(|v| v.split_once('=').expect("NAME=value")).collect();
    Launch::detect(|name| variables.get(name).map(|value| value.to_string()))
}

fn refusal(variables: &str) -> String {
    match detect(variables) {
        Ok(launch) => panic!("{variables}: {}", launch.describe()),
        Err(error) => error.to_string(),
    }
}

/// torchrun 2.x, two nodes of four.
const TORCHRUN: &str = "LOCAL_RANK=1 RANK=5 GROUP_RANK=1 ROLE_RANK=5 ROLE_NAME=default LOCAL_WORLD_SIZE=4 \
    WORLD_SIZE=8 GROUP_WORLD_SIZE=2 ROLE_WORLD_SIZE=8 MASTER_ADDR=gpu003 MASTER_PORT=29500 \
    TORCHELASTIC_RESTART_COUNT=1 TORCHELASTIC_MAX_RESTARTS=3 TORCHELASTIC_RUN_ID=none \
    TORCHELASTIC_USE_AGENT_STORE=True OMP_NUM_THREADS=1";
/// A task of `srun -N 2 -n 2`: what starts the daemons of mpirun and the agents of torchrun.
const STEP_OF_TWO_NODES: &str = "SLURM_JOB_ID=4711 SLURM_STEP_ID=0 SLURM_STEPID=0 SLURM_PROCID=1 \
    SLURM_NTASKS=8 SLURM_NPROCS=2 SLURM_LOCALID=0 SLURM_NODEID=1 SLURM_STEP_NUM_TASKS=2 \
    SLURM_STEP_NUM_NODES=2 SLURM_STEP_TASKS_PER_NODE=1(x2) SLURM_STEP_NODELIST=gpu[003-004]";
/// A task of `srun -n 2` on one node (Slurm 22.05).
const SRUN: &str = "SLURM_JOB_ID=4711 SLURM_STEP_ID=2 SLURM_STEPID=2 SLURM_PROCID=1 SLURM_NTASKS=2 \
    SLURM_NPROCS=2 SLURM_LOCALID=1 SLURM_NODEID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NUM_NODES=1 \
    SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=gpu003 SLURM_TASKS_PER_NODE=2 SLURM_GTIDS=0,1";
/// The shell of `sbatch -n 2` (Slurm 22.05): a rank and a number of tasks, and no step.
const SBATCH: &str = "SLURM_GTIDS=0 SLURM_JOB_ID=3 SLURM_JOB_NODELIST=vm SLURM_LOCALID=0 SLURM_NODEID=0 \
    SLURM_NPROCS=2 SLURM_NTASKS=2 SLURM_PROCID=0 SLURM_TASKS_PER_NODE=2 SLURM_TASK_PID=11984";
/// The shell of `salloc -n 2` with `LaunchParameters=use_interactive_step` (Slurm 22.05).
const SALLOC: &str = "SLURM_LOCALID=0 SLURM_NPROCS=2 SLURM_NTASKS=2 SLURM_PROCID=0 SLURM_STEPID=4294967290 \
    SLURM_STEP_ID=4294967290 SLURM_STEP_NODELIST=vm SLURM_STEP_NUM_NODES=1 SLURM_STEP_NUM_TASKS=1 \
    SLURM_STEP_TASKS_PER_NODE=1";
/// Open MPI 4.1.4.
const OPEN_MPI_4: &str = "OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 \
    OMPI_COMM_WORLD_NODE_RANK=1 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_APP_CTX_NUM_PROCS=2 \
    PMIX_RANK=1 PMIX_NAMESPACE=1093140481 PMIX_HOSTNAME=vm";
/// Open MPI 5.0.11.
const OPEN_MPI_5: &str = "OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 \
    OMPI_COMM_WORLD_NODE_RANK=1 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 PMIX_HOSTNAME=vm \
    PMIX_NAMESPACE=prterun-vm-21126@1 PMIX_RANK=1 PRTE_LAUNCHED=1 PRTE_SHARED_FS=FALSE";
/// MPICH 4.0.2.
const HYDRA: &str =
    "HYDI_CONTROL_FD=7 MPI_LOCALNRANKS=2 MPI_LOCALRANKID=1 PMI_FD=8 PMI_RANK=1 PMI_SIZE=2";

fn with(one: &str, other: &str) -> String {
    format!("{one} {other}")
}

#[test]
fn nobody_says_anything() {
    for variables in ["", SBATCH, SALLOC, "RANK= WORLD_SIZE=", "LOCAL_RANK=0"] {
        let launch = detect(variables).unwrap();
        assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::Alone, 0, 1));
        assert_eq!(launch.address, None);
    }
}

#[test]
fn torchrun() {
    let launch = detect(TORCHRUN).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::Torchrun, 5, 8));
    assert_eq!((launch.local_rank, launch.local_world), (Some(1), Some(4)));
    assert_eq!(launch.address, Some(("gpu003".to_string(), 29501)), "its agent has 29500");
    assert_eq!(launch.restarts, 1);
    let told = launch.describe();
    for part in ["rank 5 of 8", "torchrun", "rank 1 of 4", "gpu003", "29501", "MASTER_PORT=29500"] {
        assert!(told.contains(part), "{told}");
    }
    // Its agents are tasks of a step, or were started by an mpirun, one a node.
    assert_eq!(detect(&with(TORCHRUN, STEP_OF_TWO_NODES)).unwrap().rank, 5);
    assert_eq!(detect(&with(TORCHRUN, "PMI_RANK=1 PMI_SIZE=2")).unwrap().rank, 5);
    // An own port goes before that of the agent, an own address before that of the master.
    let launch = detect(&with(TORCHRUN, "DUEL_PORT=1234")).unwrap();
    assert_eq!(launch.address, Some(("gpu003".to_string(), 1234)));
    let launch = detect(&with(TORCHRUN, "DUEL_PORT=1234 DUEL_ADDR=10.0.0.1")).unwrap();
    assert_eq!(launch.address, Some(("10.0.0.1".to_string(), 1234)));
}

#[test]
fn a_world_for_each_task_is_refused() {
    // `srun -n 2 torchrun --standalone --nproc-per-node 2`: two worlds of two.
    let text = refusal(&with(
        SRUN,
        "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2 GROUP_WORLD_SIZE=1 MASTER_ADDR=h \
         MASTER_PORT=29500",
    ));
    for part in ["RANK=0", "WORLD_SIZE=2", "SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2"] {
        assert!(text.contains(part), "{text}");
    }
    // `srun -n 2 mpirun -n 4` on one node.
    let text = refusal(&with(SRUN, "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4"));
    assert!(text.contains("OMPI_COMM_WORLD_RANK=3") && text.contains("SLURM_PROCID=1"), "{text}");
    // `mpirun -n 2` where the image sets a rank and a world of one.
    let text = refusal(&with(OPEN_MPI_4, "RANK=0 WORLD_SIZE=1"));
    assert!(text.contains("WORLD_SIZE=1") && text.contains("OMPI_COMM_WORLD_SIZE=2"), "{text}");
}

#[test]
fn own_variables() {
    let launch =
        detect("DUEL_RANK=2 DUEL_WORLD_SIZE=3 DUEL_LOCAL_RANK=1 DUEL_ADDR=h DUEL_PORT=7").unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::Own, 2, 3));
    assert_eq!((launch.local_rank, launch.address), (Some(1), Some(("h".to_string(), 7))));
    // A rank alone meets nobody.
    assert_eq!(detect("DUEL_RANK=0 DUEL_WORLD_SIZE=1").unwrap().address, None);
    // A script below srun that says the same again.
    let launch =
        detect(&with(SRUN, "DUEL_RANK=1 DUEL_WORLD_SIZE=2 DUEL_ADDR=h DUEL_PORT=7")).unwrap();
    assert_eq!((launch.launcher, launch.local_rank), (Launcher::Own, Some(1)));
}

#[test]
fn mpi() {
    for open_mpi in [OPEN_MPI_4, OPEN_MPI_5] {
        let launch = detect(open_mpi).unwrap();
        assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::OpenMpi, 1, 2));
        assert_eq!((launch.local_rank, launch.local_world), (Some(1), Some(2)));
        assert_eq!(launch.address, None, "the library spreads it");
    }
    let launch = detect(HYDRA).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::Pmi, 1, 2));
    assert_eq!((launch.local_rank, launch.local_world, launch.address), (Some(1), Some(2), None));
    // Below the daemons that Slurm started on its nodes, which count as its tasks.
    let launch = detect(&with(STEP_OF_TWO_NODES, "OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=8"));
    assert_eq!(launch.map(|l| (l.launcher, l.rank, l.address)), Ok((Launcher::OpenMpi, 5, None)));
    let launch = detect(&with(STEP_OF_TWO_NODES, "PMI_RANK=5 PMI_SIZE=8"));
    assert_eq!(launch.map(|l| (l.launcher, l.rank, l.address)), Ok((Launcher::Pmi, 5, None)));
    // The daemons have PMI of Slurm as well where that is Slurm's default.
    let inside = "OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=8 PMI_RANK=1 PMI_SIZE=2";
    assert_eq!(detect(&with(STEP_OF_TWO_NODES, inside)).unwrap().rank, 5);
    // An address that somebody names is taken, and then needs its port.
    let launch = detect(&with(HYDRA, "DUEL_ADDR=h DUEL_PORT=7")).unwrap();
    assert_eq!(launch.address, Some(("h".to_string(), 7)));
    assert!(refusal(&with(HYDRA, "DUEL_ADDR=h")).contains("DUEL_PORT"));
    assert!(refusal(&with(HYDRA, "DUEL_PORT=7")).contains("DUEL_ADDR is not set"));
}

#[test]
fn slurm() {
    let launch = detect(&with(SRUN, "SLURM_RESTART_COUNT=2")).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.world), (Launcher::Slurm, 1, 2));
    assert_eq!((launch.local_rank, launch.local_world, launch.restarts), (Some(1), Some(2), 2));
    let (host, port) = launch.address.unwrap();
    assert_eq!(host, "gpu003");
    assert!((20_000..32_000).contains(&port));
    // Each step has a port of its own, the same for all its tasks.
    let port_of = |variables: String| detect(&variables).unwrap().address.unwrap().1;
    assert_eq!(port_of(SRUN.replace("PROCID=1", "PROCID=0")), port);
    assert_ne!(port_of(SRUN.replace("STEP_ID=2", "STEP_ID=3")), port);
    assert_ne!(port_of(SRUN.replace("JOB_ID=4711", "JOB_ID=4712")), port);
    assert_eq!(port_of(with(SRUN, "DUEL_PORT=7")), 7);
    // Host and port named by the batch script.
    let launch = detect(&with(SRUN, "MASTER_ADDR=10.0.0.1 MASTER_PORT=29500")).unwrap();
    assert_eq!(launch.address, Some(("10.0.0.1".to_string(), 29501)));
    let launch = detect(&with(STEP_OF_TWO_NODES, "")).unwrap();
    assert_eq!((launch.local_world, launch.address.unwrap().0), (Some(1), "gpu003".to_string()));
}

#[test]
fn slurm_with_mpi() {
    let pmi2 = detect(&with(SRUN, "PMI_FD=13 PMI_JOBID=2.0 PMI_RANK=1 PMI_SIZE=2")).unwrap();
    assert_eq!((pmi2.launcher, pmi2.rank, pmi2.local_rank), (Launcher::Pmi, 1, Some(1)));
    assert_eq!(pmi2.address.unwrap().0, "gpu003", "the step names its hosts");
    let pmix = detect(&with(SRUN, "PMIX_RANK=1 PMIX_NAMESPACE=slurm.pmix.4711.2")).unwrap();
    assert_eq!((pmix.launcher, pmix.rank, pmix.world), (Launcher::Pmix, 1, 2));
    assert_eq!(pmix.address.unwrap().0, "gpu003");
}

#[test]
fn kubernetes() {
    // One process in each pod: no number on its host.
    let launch = detect("RANK=1 WORLD_SIZE=3 MASTER_ADDR=job-master-0 MASTER_PORT=23456").unwrap();
    assert_eq!((launch.rank, launch.world, launch.local_rank), (1, 3, None));
    assert_eq!(launch.address, Some(("job-master-0".to_string(), 23457)));
    // Several: the rank is that of the pod.
    let text = refusal(
        "RANK=1 WORLD_SIZE=2 PET_NPROC_PER_NODE=8 PET_NODE_RANK=1 MASTER_ADDR=m MASTER_PORT=23456",
    );
    assert!(text.contains("RANK=1") && text.contains("PET_NPROC_PER_NODE=8"), "{text}");
    assert!(text.contains("torchrun --no-python"), "{text}");
    // Meant for a torchrun that nobody started.
    let text = refusal("PET_NNODES=2 PET_NPROC_PER_NODE=auto PET_NODE_RANK=1 PET_MASTER_ADDR=m");
    assert!(text.contains("PET_NNODES=2") && text.contains("torchrun"), "{text}");
    assert_eq!(detect("PET_NNODES=1 PET_NPROC_PER_NODE=auto").unwrap().world, 1);
}

#[test]
fn ranks_that_count_nodes() {
    for (variables, parts) in [
        ("RANK=1 WORLD_SIZE=2 LOCAL_RANK=3", ["RANK=1", "WORLD_SIZE=2", "LOCAL_RANK=3"]),
        (
            "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=4",
            ["RANK=0", "WORLD_SIZE=2", "LOCAL_WORLD_SIZE=4"],
        ),
    ] {
        let text = refusal(&with(variables, "MASTER_ADDR=m MASTER_PORT=29500"));
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.contains("counts nodes"), "{text}");
    }
    // `export RANK=$SLURM_NODEID WORLD_SIZE=$SLURM_NNODES` with two tasks on the node.
    let text = refusal(&with(SRUN, "RANK=0 WORLD_SIZE=1"));
    assert!(text.contains("RANK=0") && text.contains("SLURM_PROCID=1"), "{text}");
}

#[test]
fn what_is_half_set_or_no_number() {
    for (variables, parts) in [
        ("RANK=3", ["RANK", "3", "WORLD_SIZE"]),
        ("WORLD_SIZE=3", ["WORLD_SIZE", "3", "RANK"]),
        ("DUEL_RANK=1", ["DUEL_RANK", "1", "DUEL_WORLD_SIZE"]),
        ("PMI_SIZE=2", ["PMI_SIZE", "2", "PMI_RANK"]),
        ("OMPI_COMM_WORLD_RANK=0", ["OMPI_COMM_WORLD_RANK", "0", "OMPI_COMM_WORLD_SIZE"]),
        ("SLURM_STEP_ID=0 SLURM_PROCID=1", ["SLURM_PROCID", "1", "SLURM_STEP_NUM_TASKS"]),
        ("RANK=2 WORLD_SIZE=2", ["RANK is 2", "WORLD_SIZE is 2", "from 0"]),
        ("RANK=0 WORLD_SIZE=0", ["RANK is 0", "WORLD_SIZE is 0", "from 0"]),
        ("RANK=two WORLD_SIZE=2", ["RANK", "`two`", "number"]),
        ("RANK=-1 WORLD_SIZE=2", ["RANK", "`-1`", "number"]),
        ("RANK=1 WORLD_SIZE=1.5", ["WORLD_SIZE", "`1.5`", "number"]),
        ("RANK=3 WORLD_SIZE=4 LOCAL_RANK=2 LOCAL_WORLD_SIZE=2", ["LOCAL_RANK is 2", "is 2", "0"]),
    ] {
        let text = refusal(variables);
        assert!(parts.iter().all(|part| text.contains(part)), "{variables}: {text}");
    }
}

#[test]
fn addresses_that_are_missing_or_bad() {
    for (variables, parts) in [
        ("RANK=0 WORLD_SIZE=2", ["MASTER_ADDR", "DUEL_ADDR", "torchrun"]),
        ("DUEL_RANK=0 DUEL_WORLD_SIZE=2", ["DUEL_ADDR", "DUEL_PORT", "rank 0 of 2"]),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=m", ["MASTER_ADDR is `m`", "DUEL_PORT", "port"]),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=m MASTER_PORT=65535", ["MASTER_PORT", "65535", "65534"]),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=m MASTER_PORT=tcp", ["MASTER_PORT", "`tcp`", "65534"]),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=m DUEL_PORT=0", ["DUEL_PORT", "`0`", "65535"]),
        (
            "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2",
            ["SLURM_STEP_NODELIST", "list of hosts", "DUEL_ADDR"],
        ),
    ] {
        let text = refusal(variables);
        assert!(parts.iter().all(|part| text.contains(part)), "{variables}: {text}");
    }
}
