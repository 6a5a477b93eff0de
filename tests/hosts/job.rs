//! Processes that are started for one job, wherever their launcher puts them; none outlives it.

use crate::{BEYOND, DEADLINE, DUEL, SLACK};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Every process of a job has it in its environment, with the job's own value.
const MARK: &str = "DUEL_TEST_JOB";
/// Where launchers say which rank a process is.
const RANKS: [&str; 4] = ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];
const LOOK: Duration = Duration::from_millis(20);
/// How long anything may take that has no limit of its own.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Some processes, and all that they start.
pub struct Job {
    mark: String,
    deadline: Duration,
    folder: TempDir,
    started: Vec<Started>,
    /// Processes that were ranks when somebody looked, with the ranks.
    seen: RefCell<BTreeMap<u32, usize>>,
}

struct Started {
    name: String,
    child: Child,
    files: [PathBuf; 2],
    ended: Option<(ExitStatus, Instant)>,
}

/// How one of the processes that were started ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status; 128 and the signal, as shells have it, if a signal ended it.
    pub code: i32,
    /// Its standard output, with that of all that it started.
    pub out: String,
    /// Its standard error, likewise.
    pub err: String,
    /// When.
    pub at: Instant,
}

impl Job {
    /// Of ranks that are patient with each other.
    pub fn new() -> Self {
        Self::with(PATIENCE / 2)
    }

    /// Of ranks that wait for each other no longer than [`DEADLINE`].
    pub fn strict() -> Self {
        Self::with(DEADLINE)
    }

    fn with(deadline: Duration) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { mark, deadline, folder, started: Vec::new(), seen: RefCell::default() }
    }

    /// Starts a process of the job, in a process group of its own, as shells and launchers do.
    pub fn start(&mut self, name: &str, mut command: Command) {
        let at = self.started.len();
        let files = ["out", "err"].map(|which| self.folder.path().join(format!("{at}.{which}")));
        let [out, err] = files.each_ref().map(|path| File::create(path).expect("a file"));
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        command.env(MARK, &self.mark);
        command.env("DUEL_DEADLINE", self.deadline.as_secs().to_string());
        let child = command.spawn().unwrap_or_else(|why| panic!("{name}: {why}"));
        self.started.push(Started { name: name.to_string(), child, files, ended: None });
    }

    /// The process that was started as the `at`-th.
    pub fn pid(&self, at: usize) -> u32 {
        self.started[at].child.id()
    }

    /// Processes that run the binary, with their ranks, in the order of ranks.
    pub fn ranks(&self) -> Vec<(usize, u32)> {
        let binary = fs::canonicalize(DUEL).expect("the binary is there");
        let mut seen = self.seen.borrow_mut();
        // A process that is ending has no program any more, but its files are still open.
        seen.retain(|pid, _| is_there(*pid));
        for pid in self.processes() {
            if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == binary) {
                let environment = environment(pid);
                let rank = RANKS.iter().find_map(|name| variable(&environment, name));
                seen.insert(pid, rank.and_then(|rank| rank.parse().ok()).unwrap_or(0));
            }
        }
        let mut all: Vec<_> = seen.iter().map(|(pid, rank)| (*rank, *pid)).collect();
        all.sort_unstable();
        all
    }

    /// The process of this rank.
    pub fn rank(&self, rank: usize) -> u32 {
        let ranks = self.ranks();
        let found = ranks.iter().find(|(number, _)| *number == rank);
        found.unwrap_or_else(|| panic!("rank {rank} is not among {ranks:?}\n{}", self.told())).1
    }

    /// Waits until something is there.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut there: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !there(self) {
            assert!(self.is_on(), "it has ended, and {what} was expected\n{}", self.told());
            assert!(begun.elapsed() < PATIENCE, "{what} does not come\n{}", self.told());
            sleep(LOOK);
        }
    }

    fn is_on(&mut self) -> bool {
        self.look();
        self.started.iter().any(|started| started.ended.is_none())
    }

    fn look(&mut self) {
        for started in self.started.iter_mut().filter(|started| started.ended.is_none()) {
            if let Some(status) = started.child.try_wait().expect("our child") {
                started.ended = Some((status, Instant::now()));
            }
        }
    }

    /// Waits until all that was started has ended, for so long at most.
    #[track_caller]
    pub fn end_within(&mut self, most: Duration) -> Vec<Ended> {
        let begun = Instant::now();
        while self.is_on() {
            let left = self.ranks();
            assert!(begun.elapsed() < most, "ranks {left:?} go on after {most:?}\n{}", self.told());
            sleep(LOOK);
        }
        let ended = |started: &Started| {
            let (status, at) = started.ended.expect("it has ended");
            let code = status.code().or(status.signal().map(|signal| 128 + signal));
            let [out, err] = started.files.each_ref().map(|path| text(path));
            Ended { code: code.expect("one of both"), out, err, at }
        };
        self.started.iter().map(ended).collect()
    }

    /// Whether all that was started ends within this time.
    pub fn has_ended_within(&mut self, most: Duration) -> bool {
        let begun = Instant::now();
        while self.is_on() && begun.elapsed() < most {
            sleep(LOOK);
        }
        !self.is_on()
    }

    /// The same, with the patience for a run that is whole.
    #[track_caller]
    pub fn end(&mut self) -> Vec<Ended> {
        self.end_within(PATIENCE)
    }

    /// The same for ranks of which something is wrong since now: within the deadline, and a little more.
    #[track_caller]
    pub fn end_in_time(&mut self) -> Vec<Ended> {
        self.end_within(self.deadline + BEYOND + SLACK)
    }

    /// That nothing is left of it, but for what ends by itself in a moment.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        const MOMENT: Duration = Duration::from_secs(5);
        let begun = Instant::now();
        loop {
            let ranks = self.ranks().into_iter().map(|(_, pid)| pid);
            let left: BTreeSet<u32> = self.processes().into_iter().chain(ranks).collect();
            if left.is_empty() {
                return;
            }
            let told: Vec<String> = left.iter().map(|pid| command_line(*pid)).collect();
            assert!(begun.elapsed() < MOMENT, "left are {told:#?}\n{}", self.told());
            sleep(LOOK);
        }
    }

    /// All that was said up to now.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for Started { name, files: [out, err], ended, .. } in &self.started {
            let status = ended.map(|(status, _)| status.to_string());
            let status = status.unwrap_or("goes on".to_string());
            let _ = writeln!(told, "== {name} ({status})\n{}{}", text(out), text(err));
        }
        told
    }

    /// Its processes, those that have ended left out.
    fn processes(&self) -> Vec<u32> {
        let all = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ours = |pid: &u32| variable(&environment(*pid), MARK).is_some_and(|m| m == self.mark);
        pids.filter(ours).collect()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Again, for those that were being started.
        for _ in 0..50 {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            signal("KILL", &left);
            sleep(LOOK);
        }
        for started in &mut self.started {
            let _ = started.child.wait();
        }
    }
}

/// Sends a signal. A process that has ended meanwhile is no error.
pub fn signal(name: &str, pids: &[u32]) {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let script = format!("kill -{name} {} 2>/dev/null", pids.join(" "));
    Command::new("sh").arg("-c").arg(script).status().expect("a shell");
}

/// Whether a process is there that has not ended.
fn is_there(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its name, which stands in brackets, may hold anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

fn text(path: &Path) -> String {
    // Progress is written over itself.
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\r', "\n")
}

fn environment(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a str> {
    let mut all = environment.split(|byte| *byte == 0);
    let found = all.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    std::str::from_utf8(found).ok()
}

fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid}: {}", String::from_utf8_lossy(&words).replace('\0', " "))
}
