//! PyTorch's launcher.

use super::{Plain, Start, clean};
use crate::left_out;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `torchrun` of the PyTorch that `tests/peer/setup.sh` installs.
pub struct Torchrun {
    program: PathBuf,
    plain: Plain,
}

impl Torchrun {
    pub fn new() -> Option<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = tests.parent().expect("tests/ has a parent").join("target/peer/bin/torchrun");
        if !program.is_file() {
            let why = format!("{}: no such file; `make bench` installs it", program.display());
            left_out("torchrun", &why);
            return None;
        }
        Some(Self { program, plain: Plain::new()? })
    }

    /// The folder that it is in.
    pub fn programs(&self) -> &Path {
        self.program.parent().expect("a program is in a folder")
    }

    /// Sets the variables that its ranks need.
    pub fn set(&self, command: &mut Command) {
        command.env("DUEL_MPI", &self.plain.library).env("OMP_NUM_THREADS", "1");
    }
}

impl Start for Torchrun {
    fn name(&self) -> String {
        "torchrun".to_string()
    }

    fn command(&self, world: usize) -> Command {
        let mut command = clean(&self.program);
        self.set(&mut command);
        command.args(["--no-python", "--nproc-per-node", &world.to_string()]);
        let port = (self.plain.port - 1).to_string();
        command.args(["--master-addr", "127.0.0.1", "--master-port", &port]);
        command
    }
}
