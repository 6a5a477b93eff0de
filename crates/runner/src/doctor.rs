//! What this machine offers, what it lacks, and what that means for Duel.

use crate::cli::Globals;
use crate::command::Failure;
use crate::gpus::Gpus;
use crate::machine::Machine;
use crate::ranks::{Rank, Seen};
use data::Manifest;
use indicatif::HumanBytes;
use rustix::fs::{Access, access, statvfs};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Below so much free memory or disk, people are told.
const LITTLE: u64 = 2 << 30;

/// Everything that was found.
#[derive(Serialize)]
pub(crate) struct Findings {
    /// As a run's `machine.json` has it.
    pub machine: Machine,
    /// Threads that Duel computes with.
    pub threads: usize,
    /// Bytes of memory that are free, or that the container has left.
    pub memory_free: u64,
    /// Measured on one thread and, if there are more, on all of them.
    pub speed: Vec<Measured>,
    /// Processes that wanted a core over the last minute, on average.
    pub load: f64,
    /// Where runs and data sets go.
    pub folders: [Folder; 2],
    /// Programs that fetch data.
    pub tools: [Tool; 3],
    /// Splits that are ready to train on.
    pub data_sets: Vec<Prepared>,
    /// GPUs, and their driver.
    pub gpus: Gpus,
    /// Who started it, with whom, and how fast they add up.
    pub ranks: Seen,
}

#[derive(Serialize)]
pub(crate) struct Measured {
    pub threads: usize,
    /// Of multiply-adds in f32, as our products do them at best.
    pub gflops: f64,
    /// Read and written, gigabytes a second.
    pub memory_gigabytes: f64,
}

#[derive(Serialize)]
pub(crate) struct Folder {
    pub path: PathBuf,
    /// Bytes; none where the system does not tell.
    pub free: Option<u64>,
    pub writable: bool,
}

#[derive(Serialize)]
pub(crate) struct Tool {
    pub name: &'static str,
    pub path: Option<PathBuf>,
}

#[derive(Serialize)]
pub(crate) struct Prepared {
    pub split: PathBuf,
    pub images: Option<usize>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

/// One line for people: what it is about, what was found, and what to do where that is a pity.
pub(crate) struct Line {
    pub about: &'static str,
    pub found: String,
    pub advice: Option<String>,
}

impl Findings {
    /// Looks around; the measurements take some two seconds.
    pub fn gather(globals: &Globals, rank: &Rank) -> Result<Self, Failure> {
        let ranks = Seen::gather(globals, rank)?;
        let everything = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(everything);
        let left = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
        let measure = |threads: usize| -> Result<Measured, Failure> {
            let pool = cpu::pool(threads)?;
            let cpu::Speed { gflops, gigabytes } = cpu::speed(&pool, 4);
            Ok(Measured { threads, gflops, memory_gigabytes: gigabytes })
        };
        let threads = globals.cores();
        // Before the measurements add to it.
        let load = System::load_average().one;
        let mut speed = vec![measure(1)?];
        if threads > 1 {
            speed.push(measure(threads)?);
        }
        Ok(Self {
            machine: Machine::of(&system),
            threads,
            memory_free: system.available_memory().min(left),
            speed,
            load,
            folders: [Folder::at(Path::new("runs")), Folder::at(&globals.data)],
            tools: ["curl", "apt-get", "npm"].map(Tool::find),
            data_sets: prepared(&globals.data),
            gpus: Gpus::find(),
            ranks,
        })
    }

    /// A line for each thing.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.machine_lines();
        lines.extend(self.speed.iter().map(Measured::line));
        if self.load > 0.5 * self.machine.cores as f64 {
            let found = format!("other programs keep {:.1} cores busy", self.load);
            lines.push(line(
                "",
                found,
                Some("wait for them, and the figures above will be higher"),
            ));
        }
        lines.extend(self.folders.iter().map(Folder::line));
        lines.extend(self.tools.iter().map(Tool::line));
        if self.data_sets.is_empty() {
            let advice = "`duel data prepare EXPERIMENT.yaml` fetches and imports what one needs";
            lines.push(line("data set", "none is prepared here", Some(advice)));
        }
        lines.extend(self.data_sets.iter().map(Prepared::line));
        lines.extend(gpu_lines(&self.gpus));
        lines.extend(rank_lines(&self.ranks, &self.gpus));
        let commit = self.machine.commit.as_deref().map(|commit| format!(", commit {commit}"));
        let version = format!("{}{}", self.machine.duel, commit.unwrap_or_default());
        lines.push(line("duel", version, None));
        lines
    }

    fn machine_lines(&self) -> Vec<Line> {
        let Machine { cpu, cores, usable_cores, memory, instructions, os, kernel, .. } =
            &self.machine;
        let baseline = instructions == "baseline";
        let advice_on_threads = if self.threads > *usable_cores {
            Some("more threads than cores get in each other's way; `--threads 0`")
        } else if self.threads < *usable_cores {
            Some("`--threads 0` uses all of them")
        } else if usable_cores < cores {
            Some("an affinity or a container keeps the others away: `taskset`, `--cpus`")
        } else {
            None
        };
        let low = self.memory_free < LITTLE;
        let free = HumanBytes(self.memory_free);
        vec![
            line("system", format!("{os}, {kernel}"), None),
            line("processor", cpu, None),
            line(
                "instructions",
                instructions,
                baseline.then_some("without AVX2 or NEON expect a fraction of the speed"),
            ),
            line(
                "cores",
                format!("{usable_cores} of {cores} usable; threads: {}", self.threads),
                advice_on_threads,
            ),
            line(
                "memory",
                format!("{}, {free} free", HumanBytes(*memory)),
                low.then_some(
                    "`duel show EXPERIMENT.yaml` prints what one needs; lower its `batch`",
                ),
            ),
        ]
    }
}

/// The driver's line, and one for each GPU.
fn gpu_lines(gpus: &Gpus) -> Vec<Line> {
    if let Some(problem) = &gpus.problem {
        let found = format!("no GPU can be used, and none is needed: {problem}");
        return vec![line("NVIDIA", found, None)];
    }
    let mut lines = vec![line("NVIDIA", gpus.driver_in_words().unwrap_or_default(), None)];
    for gpu in &gpus.devices {
        let (memory, free) = (gpu.memory as u64, gpu.memory_free.map(|free| free as u64));
        let free = free.map_or(String::new(), |free| format!(", {} free", HumanBytes(free)));
        let found = format!("{}: {}, {}{free}", gpu.device, gpu.name, HumanBytes(memory));
        lines.push(line("NVIDIA", found, gpu.problem.as_deref()));
    }
    lines
}

/// Ranks: who started them, who they are, and what adds up.
fn rank_lines(seen: &Seen, gpus: &Gpus) -> Vec<Line> {
    let mut lines = vec![line("ranks", &seen.launcher, None)];
    if seen.ranks.len() > 1 {
        lines.extend(seen.ranks.iter().map(|rank| line("ranks", rank, None)));
        let met = format!("met at {}; they wait {} s for each other", seen.address, seen.deadline);
        lines.push(line("ranks", met, None));
    }
    let adds = match seen.ranks.len() {
        1 => format!("{}; nothing to add up with one rank", seen.device),
        _ => seen.device.clone(),
    };
    lines.push(line("all-reduce", adds, None));
    for sum in seen.sums.iter().filter(|_| seen.ranks.len() > 1) {
        let (size, rate) = (HumanBytes(sum.bytes as u64), sum.bytes as f64 / sum.seconds / 1e9);
        let found = format!("{size} in {:.3} ms, {rate:.2} GB/s", 1e3 * sum.seconds);
        lines.push(line("all-reduce", found, None));
    }
    lines.push(match (&seen.mpi, &seen.mpi_problem) {
        (Some(mpi), _) => line("MPI", mpi, None),
        (None, problem) => {
            let problem = problem.as_deref().unwrap_or("none");
            line("MPI", format!("{problem}. Ranks that are threads need none"), None)
        }
    });
    if gpus.devices.len() > 1 && gpus.nccl.is_none() {
        let advice = "install libnccl2, or set DUEL_NCCL to it: ranks on GPUs add up with it";
        lines.push(line("NCCL", "not found", Some(advice)));
    }
    lines
}

fn line(about: &'static str, found: impl ToString, advice: Option<&str>) -> Line {
    Line { about, found: found.to_string(), advice: advice.map(str::to_string) }
}

impl Measured {
    fn line(&self) -> Line {
        let Self { threads, gflops, memory_gigabytes } = self;
        let (plural, rate) = (if *threads == 1 { "" } else { "s" }, memory_gigabytes);
        let found = format!("{threads} thread{plural}: {gflops:.1} GFLOP/s, memory {rate:.1} GB/s");
        line("speed", found, None)
    }
}

impl Folder {
    fn at(path: &Path) -> Self {
        // Where it is not there yet, the nearest folder above it will hold it.
        let here = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let there = here.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let free = statvfs(there).ok().map(|disk| disk.f_bavail * disk.f_frsize);
        let writable = there.is_dir() && access(there, Access::WRITE_OK).is_ok();
        Self { path: path.to_path_buf(), free, writable }
    }

    fn line(&self) -> Line {
        let path = self.path.display();
        let free = self.free.map_or("unknown".to_string(), |free| HumanBytes(free).to_string());
        let advice = match (self.writable, self.free) {
            (false, _) => Some("it cannot be written to; `--out` and `--data` name other folders"),
            (true, Some(..LITTLE)) => {
                Some("checkpoints need room: delete old runs, or use another disk")
            }
            _ => None,
        };
        line("disk", format!("{free} free at {path}"), advice)
    }
}

impl Tool {
    fn find(name: &'static str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let runs = |file: &PathBuf| file.is_file() && access(file, Access::EXEC_OK).is_ok();
        let path = std::env::split_paths(&path).map(|folder| folder.join(name)).find(runs);
        Self { name, path }
    }

    fn line(&self) -> Line {
        let advice = match self.name {
            "curl" => "most data sets are fetched with it; install it from your system's packages",
            "apt-get" => {
                "only Debian and its kin have it; some sources are skipped, the next is tried"
            }
            _ => "some sources are skipped, the next is tried; it comes with Node.js",
        };
        match &self.path {
            Some(path) => line(self.name, path.display(), None),
            None => line(self.name, "not found", Some(advice)),
        }
    }
}

impl Prepared {
    fn line(&self) -> Line {
        let split = self.split.display();
        match (&self.images, &self.problem) {
            (Some(images), _) => line("data set", format!("{split}: {images} images"), None),
            (_, problem) => line(
                "data set",
                format!("{split}: {}", problem.as_deref().unwrap_or("not readable")),
                Some("delete the folder and import it again"),
            ),
        }
    }
}

/// The splits in a folder of data sets, by name.
fn prepared(root: &Path) -> Vec<Prepared> {
    let mut splits: Vec<PathBuf> = folders(root).iter().flat_map(|set| folders(set)).collect();
    splits.sort();
    let look = |split: PathBuf| match Manifest::read(&split) {
        Ok(manifest) => Prepared { split, images: Some(manifest.rows), problem: None },
        Err(error) => Prepared { split, images: None, problem: Some(error.to_string()) },
    };
    splits.into_iter().map(look).collect()
}

/// Folders in a folder that are not hidden.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    let seen = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    seen.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
