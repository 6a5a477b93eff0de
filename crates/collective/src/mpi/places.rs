//! Where an MPI library may be, the launcher's own first.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of the standard binary interface (MPI 5), of MPICH's and of Open MPI's.
const STANDARD: [&str; 2] = ["libmpi_abi.so.1", "libmpi_abi.so.0"];
const MPICH: [&str; 2] = ["libmpi.so.12", "libmpich.so.12"];
const OPEN_MPI: [&str; 1] = ["libmpi.so.40"];

/// Programs that start ranks and are installed beside their library.
const STARTERS: [&str; 9] = [
    "hydra_pmi_proxy",
    "mpiexec",
    "mpiexec.hydra",
    "mpirun",
    "mpiexec.openmpi",
    "orted",
    "orterun",
    "prted",
    "prterun",
];
/// What only Open MPI's `mpirun` sets.
const MPIRUN: &str = "OMPI_COMM_WORLD_SIZE";
/// How far up the processes a starter is looked for: scripts may lie between.
const GENERATIONS: usize = 8;

/// Who serves this process what an MPI needs to find its peers: that says which MPI it speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// `mpirun` of Open MPI, or something else that serves PMIx.
    OpenMpi,
    /// `mpiexec` of MPICH or of Intel MPI, Slurm with PMI, or [`crate::pmi`].
    Pmi,
    /// Nobody who would serve an MPI.
    Other,
}

/// Reads a variable of the environment.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Server {
    /// Whether it is surely Open MPI's `mpirun`: others serve PMIx too.
    pub fn mpirun() -> bool {
        std::env::var_os(MPIRUN).is_some()
    }

    /// From the variables that it leaves.
    pub fn of(variables: Variables) -> Self {
        let any = |names: &[&str]| names.iter().any(|name| variables(name).is_some());
        if any(&[MPIRUN]) {
            Self::OpenMpi
        } else if any(&["PMI_RANK", "PMI_FD", "PMI_PORT"]) {
            Self::Pmi
        } else if any(&["PMIX_RANK"]) {
            Self::OpenMpi
        } else {
            Self::Other
        }
    }

    /// Of this process.
    pub fn here() -> Self {
        Self::of(&|name| std::env::var_os(name))
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "mpirun of Open MPI, or PMIx",
            Self::Pmi => "mpiexec of MPICH, or PMI",
            Self::Other => "none that speaks with an MPI",
        }
    }

    /// What to do about a library of another MPI.
    pub fn fix(self) -> &'static str {
        match self {
            Self::OpenMpi => {
                "Start with the mpirun of the same MPI as the library, or set DUEL_MPI to the libmpi.so.40 \
                 of the Open MPI whose mpirun this is"
            }
            Self::Pmi => {
                "Start with the mpiexec of the same MPI as the library, or set DUEL_MPI to the libmpi.so.12 \
                 of the MPICH whose mpiexec this is"
            }
            Self::Other => "Start with the mpirun that was installed with the library",
        }
    }

    /// Names of libraries, best first.
    fn names(self) -> Vec<&'static str> {
        let (standard, mpich, open_mpi) = (&STANDARD[..], &MPICH[..], &OPEN_MPI[..]);
        // Whose the standard name is cannot be told before it is opened, so it comes after the own one.
        match self {
            Self::OpenMpi => [open_mpi, standard, mpich].concat(),
            Self::Pmi => [mpich, standard, open_mpi].concat(),
            Self::Other => [standard, mpich, open_mpi].concat(),
        }
    }

    /// Folders beside the launcher, best first.
    fn folders(self, variables: Variables) -> Vec<PathBuf> {
        let variable = |name| variables(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut roots = Vec::new();
        match self {
            Self::OpenMpi => roots.extend(variable("OPAL_PREFIX")),
            Self::Pmi => roots.extend(variable("I_MPI_ROOT")),
            Self::Other => {}
        }
        if self != Self::Other {
            roots.extend(ancestors().iter().filter_map(|program| root(program)));
        }
        // With an environment of Python or a module loaded, what is installed there comes first in PATH.
        let path = variables("PATH").unwrap_or_default();
        for name in ["mpiexec", "mpirun"] {
            let programs = std::env::split_paths(&path).map(|folder| folder.join(name));
            roots.extend(programs.filter_map(|program| root(&program.canonicalize().ok()?)));
        }
        let mut folders = Vec::new();
        for folder in
            roots.iter().flat_map(|at| ["lib", "lib64", "lib/release"].map(|l| at.join(l)))
        {
            if folder.is_dir() && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// Libraries to try, in this order: paths of files that are there, and names that the dynamic linker
    /// may know.
    pub fn candidates(self, variables: Variables) -> Vec<PathBuf> {
        let folders = self.folders(variables);
        let of = |name: &'static str| {
            let files = folders.iter().map(move |folder| folder.join(name));
            files.filter(|file| file.exists()).chain([PathBuf::from(name)])
        };
        self.names().into_iter().flat_map(of).collect()
    }

    /// Libraries of one folder.
    pub fn within(self, folder: &Path) -> Vec<PathBuf> {
        let files = self.names().into_iter().map(|name| folder.join(name));
        files.filter(|file| file.exists()).collect()
    }
}

/// Where a starter is installed: the folder above its `bin`.
fn root(program: &Path) -> Option<PathBuf> {
    let name = program.file_name()?.to_str()?;
    STARTERS.contains(&name).then_some(())?;
    Some(program.parent()?.parent()?.to_path_buf())
}

/// Programs of the processes above this one, nearest first.
fn ancestors() -> Vec<PathBuf> {
    let mut programs = Vec::new();
    let mut process = "self".to_string();
    for _ in 0..GENERATIONS {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // `pid (name) state parent ...`, and the name may hold anything.
        let Some((_, rest)) = stat.rsplit_once(')') else { break };
        let Some(parent) = rest.split_whitespace().nth(1) else { break };
        process = parent.to_string();
        programs.extend(fs::read_link(format!("/proc/{process}/exe")));
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment of these variables.
    fn of<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    #[test]
    fn variables_tell_the_launcher() {
        let cases: [(&[_], _); 5] = [
            (&[], Server::Other),
            (&[("RANK", "0"), ("WORLD_SIZE", "2")], Server::Other),
            (&[("PMI_RANK", "0"), ("PMI_SIZE", "2"), ("PMI_FD", "9")], Server::Pmi),
            (&[("PMIX_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")], Server::OpenMpi),
            (&[("PMIX_RANK", "0")], Server::OpenMpi),
        ];
        for (variables, launcher) in cases {
            assert_eq!(Server::of(&of(variables)), launcher, "{variables:?}");
        }
    }

    #[test]
    fn the_launchers_own_library_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for (folder, files) in
            [("bin", &["mpirun"][..]), ("lib", &["libmpi.so.40", "libmpi.so.12"][..])]
        {
            let folder = root.path().join(folder);
            fs::create_dir(&folder).unwrap();
            files.iter().for_each(|file| fs::write(folder.join(file), "").unwrap());
        }
        let (bin, lib) = (root.path().join("bin"), root.path().join("lib").canonicalize().unwrap());
        let path = [("PATH", bin.to_str().unwrap())];
        let first = |launcher: Server| launcher.candidates(&of(&path))[0].clone();
        assert_eq!(first(Server::OpenMpi), lib.join("libmpi.so.40"));
        assert_eq!(first(Server::Pmi), lib.join("libmpi.so.12"));
        assert_eq!(first(Server::Other), Path::new("libmpi_abi.so.1"));
        // All families are tried in the end, by bare names too.
        for launcher in [Server::OpenMpi, Server::Pmi, Server::Other] {
            let all = launcher.candidates(&of(&path));
            let bare = all.iter().filter(|path| path.is_relative()).count();
            assert_eq!((all.len(), bare), (7, 5), "{all:?}");
            assert_eq!(launcher.within(&lib).len(), 2);
        }
    }

    #[test]
    fn only_starters_tell_where_a_library_is() {
        let of = |program: &str| root(Path::new(program));
        assert_eq!(of("/opt/mpi/bin/hydra_pmi_proxy"), Some(PathBuf::from("/opt/mpi")));
        assert_eq!(of("/usr/bin/bash"), None);
        assert_eq!(of("/"), None);
    }

    #[test]
    fn processes_above_this_one_are_known() {
        let programs = ancestors();
        assert!(!programs.is_empty() && programs.iter().all(|p| p.is_absolute()), "{programs:?}");
    }
}
