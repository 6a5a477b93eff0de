//! Slurm's launcher.

use super::{Mpirun, Start, clean};
use crate::left_out;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `srun` of a Slurm that answers.
pub struct Srun {
    /// What `--mpi` says: who serves MPI's questions.
    mpi: &'static str,
    library: PathBuf,
}

impl Srun {
    pub fn new(mpi: &'static str) -> Option<Self> {
        let mut asked = Command::new("timeout");
        asked.args(["20", "srun", "-n", "1", "true"]);
        let answers = asked.stdin(Stdio::null()).output();
        let why = match &answers {
            Ok(output) if output.status.success() => {
                return Some(Self { mpi, library: Mpirun::mpich()?.library });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_string(),
            Err(why) => why.to_string(),
        };
        left_out("srun", &format!("it does not run a program: {why}"));
        None
    }
}

impl Start for Srun {
    fn name(&self) -> String {
        format!("srun --mpi={}", self.mpi)
    }

    fn command(&self, world: usize) -> Command {
        let mut command = clean("srun");
        command.env("DUEL_MPI", &self.library);
        let mpi = format!("--mpi={}", self.mpi);
        command.args(["--quiet", "--overcommit", "--kill-on-bad-exit=1", &mpi]);
        command.args(["-n", &world.to_string()]);
        command
    }
}
