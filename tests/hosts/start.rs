//! How ranks are started: by the launchers of clusters, or by nobody but a shell.

mod srun;
mod torchrun;

pub use srun::Srun;
pub use torchrun::Torchrun;

use crate::job::Job;
use crate::losses::Loss;
use crate::network::Network;
use crate::room::Room;
use crate::{DUEL, left_out};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that starts ranks.
pub trait Start {
    /// What it is called here.
    fn name(&self) -> String;

    /// Its command for so many of a program, which comes behind it.
    fn command(&self, world: usize) -> Command;

    /// Starts `duel` with these words in the room's folder, as so many ranks.
    fn ranks(&self, job: &mut Job, room: &Room, world: usize, words: &str) {
        let mut command = self.command(world);
        command.arg(DUEL).args(words.split_whitespace()).args(["--threads", "1"]);
        command.current_dir(room.path(""));
        job.start(&format!("{} with {world} ranks", self.name()), command);
    }
}

/// A command that has nothing of who runs the tests but where programs are.
pub fn clean(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("DUEL_DEVICE", "cpu");
    for name in ["PATH", "HOME", "USER", "TMPDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// A port that is free, and so is the one before it, as far as one can tell.
pub fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        if TcpListener::bind(("127.0.0.1", port - 1)).is_ok() {
            return port;
        }
    }
}

/// `mpirun` of an MPI.
#[derive(Clone)]
pub struct Mpirun {
    name: &'static str,
    /// The folder with `bin` and `lib`.
    root: PathBuf,
    /// Whether it is Open MPI.
    pub open: bool,
    /// Its library.
    pub library: PathBuf,
    /// What `DUEL_MPI` says.
    told: Option<PathBuf>,
    /// Options for all of them.
    options: &'static [&'static str],
}

impl Mpirun {
    pub fn mpich() -> Option<Self> {
        Self::of("MPICH's mpirun", "mpich", "libmpi.so.12", false)
    }

    pub fn open_mpi() -> Option<Self> {
        Self::of("Open MPI's mpirun", "openmpi", "libmpi.so.40", true)
    }

    /// Both, those that are not there left out.
    pub fn all() -> Vec<Self> {
        [Self::mpich(), Self::open_mpi()].into_iter().flatten().collect()
    }

    fn of(name: &'static str, package: &str, library: &str, open: bool) -> Option<Self> {
        let asked = std::env::var("DUEL_MPIS").ok();
        let folder = asked.as_deref().filter(|asked| *asked != "required").map(PathBuf::from);
        let beside = || {
            let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
            tests.parent().expect("tests/ has a parent").join("target/mpi")
        };
        let root = folder.unwrap_or_else(beside).join(package);
        let library = root.join("lib").join(library);
        if library.exists() {
            return Some(Self { name, root, open, library, told: None, options: &[] });
        }
        let missing = format!("{}: no such file; tests/mpi/setup.sh makes it", library.display());
        assert!(asked.is_none(), "{missing}");
        left_out(name, &missing);
        None
    }

    /// The same, told to use another library than its own.
    pub fn told(&self, library: &Path) -> Self {
        Self { told: Some(library.to_path_buf()), ..self.clone() }
    }

    /// The same for a rank that leaves with status 0. MPICH's mpirun would kill the others at once and end with
    /// that status; told not to, it leaves them alone, and with them a rank that was stopped.
    pub fn sparing(&self, loss: Loss) -> Self {
        match loss {
            Loss::Left if !self.open => {
                Self { options: &["-disable-auto-cleanup"], ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// The launcher itself.
    pub fn program(&self) -> PathBuf {
        self.root.join("bin/mpirun")
    }

    /// What it is called here.
    pub fn called(&self) -> &'static str {
        self.name
    }

    /// Its command for one rank on each host of a network, to be given on the first one.
    pub fn over(&self, network: &Network) -> Command {
        let mut command = clean(self.program());
        self.set(&mut command);
        let shell = network.shell().display().to_string();
        if self.open {
            // Its plug-ins see the interfaces of all hosts as equal; ssh and TCP are what hosts share.
            command.args(["--prtemca", "plm_ssh_agent", &shell, "--map-by", "node"]);
            command.args(["--mca", "btl", "tcp,self", "--host", &network.hosts()]);
        } else {
            command.args([
                "-launcher",
                "ssh",
                "-launcher-exec",
                &shell,
                "-hosts",
                &network.hosts(),
            ]);
        }
        command.args(self.options).args(["-n", "3"]);
        command
    }

    /// Sets the variables that it needs.
    pub fn set(&self, command: &mut Command) {
        if self.open {
            command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        }
        command.envs(self.told.as_ref().map(|library| ("DUEL_MPI", library)));
    }
}

impl Start for Mpirun {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn command(&self, world: usize) -> Command {
        let mut command = clean(self.program());
        self.set(&mut command);
        if self.open {
            command.arg("--oversubscribe");
        }
        command.args(self.options).args(["-n", &world.to_string()]);
        command
    }
}

/// Nobody: each rank is started by hand with `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, and sums are
/// those of MPICH's library.
pub struct Plain {
    library: PathBuf,
    port: u16,
}

impl Plain {
    /// Ranks that will meet at one port.
    pub fn new() -> Option<Self> {
        Some(Self { library: Mpirun::mpich()?.library, port: free_port() })
    }

    /// The port at which they meet.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The command of one of them, with its variables; the words are still to come.
    pub fn rank(&self, rank: usize, world: usize) -> Command {
        let mut command = clean(DUEL);
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", world.to_string());
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", (self.port - 1).to_string());
        command.env("DUEL_MPI", &self.library);
        command
    }

    /// Starts one of them in a room of its own or of all.
    pub fn start(&self, job: &mut Job, [rank, world]: [usize; 2], room: &Room, words: &str) {
        let mut command = self.rank(rank, world);
        command.args(words.split_whitespace()).args(["--threads", "1"]);
        command.current_dir(room.path(""));
        job.start(&format!("rank {rank} of {world}"), command);
    }
}

impl Start for Plain {
    fn name(&self) -> String {
        "a plain shell".to_string()
    }

    fn command(&self, world: usize) -> Command {
        let mut command = self.rank(0, world);
        command.env_remove("RANK");
        // A shell that starts the ranks of one program, and waits for them.
        let script = format!(
            "for rank in $(seq 0 {}); do RANK=$rank \"$@\" & all=\"$all $!\"; done
             for one in $all; do wait $one || code=$?; done
             exit ${{code:-0}}",
            world - 1
        );
        let mut shell = clean("sh");
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.args(["-c", &script, "sh"]);
        shell
    }

    fn ranks(&self, job: &mut Job, room: &Room, world: usize, words: &str) {
        for rank in 0..world {
            self.start(job, [rank, world], room, words);
        }
    }
}
