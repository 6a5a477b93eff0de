//! Sums over ranks: processes that meet, add up inside of graphs, and notice when one of them is gone.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;
use tests::stand_in;

/// Long enough for any machine; what is tested are not times.
const LONG: u64 = 300;

/// Ranks that are started in a folder of their own.
struct Ranks {
    folder: TempDir,
    libraries: Option<PathBuf>,
    world: usize,
    /// Set for every rank.
    environment: Vec<(String, String)>,
}

impl Ranks {
    /// So many ranks; none where there is neither a stand-in nor a GPU for each.
    fn new(world: usize) -> Option<Self> {
        let libraries = match stand_in::is_real() {
            false => Some(stand_in::folder()?.to_path_buf()),
            true => {
                let devices = cuda::devices().expect("there is a GPU").len();
                if devices < world {
                    eprintln!("LEFT OUT: {world} ranks need {world} GPUs, and {devices} are there");
                    return None;
                }
                None
            }
        };
        let folder = tempfile::tempdir().expect("a folder");
        let devices = ("DUEL_STAND_IN_DEVICES".to_string(), world.to_string());
        Some(Self { folder, libraries, world, environment: vec![devices] })
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_string(), value.to_string()));
        self
    }

    /// Starts one rank.
    fn start(&self, rank: usize, job: &str, seconds: u64, how: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nccl-rank"));
        command.arg(job).arg(self.folder.path());
        command.args([rank.to_string(), self.world.to_string(), seconds.to_string(), how.into()]);
        command.env("CUDA_VISIBLE_DEVICES", rank.to_string()).env_remove("DUEL_NCCL");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().expect("the rank starts")
    }

    /// All ranks, to their end.
    fn run(&self, job: &str, seconds: u64, how: &str) -> Vec<Output> {
        // The id of the run before is good for no other.
        let _ = fs::remove_file(self.folder.path().join("id"));
        let all: Vec<_> = (0..self.world).map(|r| self.start(r, job, seconds, how)).collect();
        all.into_iter().map(|rank| rank.wait_with_output().expect("it ends")).collect()
    }

    /// What all ranks computed; none may fail.
    fn results(&self, job: &str, how: &str) -> Vec<BTreeMap<String, Vec<f32>>> {
        let said = self.run(job, LONG, how);
        for (rank, said) in said.iter().enumerate() {
            assert!(said.status.success(), "rank {rank}: {}", error(said));
        }
        (0..self.world).map(|rank| results(self.folder.path(), rank)).collect()
    }
}

fn results(folder: &Path, rank: usize) -> BTreeMap<String, Vec<f32>> {
    let text = fs::read_to_string(folder.join(format!("{rank}.json"))).expect("results");
    let json: BTreeMap<String, Value> = serde_json::from_str(&text).expect("JSON");
    let numbers = |value| serde_json::from_value(value).expect("numbers");
    json.into_iter().map(|(name, value)| (name, numbers(value))).collect()
}

fn error(said: &Output) -> String {
    String::from_utf8_lossy(&said.stderr).trim().to_string()
}

/// Asserts that a rank failed and named all of these.
fn failed(said: &Output, words: &[&str]) {
    let error = error(said);
    assert!(said.status.code() == Some(1), "{:?}: {error}", said.status);
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

/// What `sums` of nccl-rank.rs leaves in its last round. All numbers are multiples of 1/16 below 2¹⁶, so f32
/// is exact.
fn expected(rank: usize, world: usize) -> BTreeMap<String, Vec<f32>> {
    let input = |rank: usize, i: usize| 0.25 * ((i + 3 * rank + 14) % 61) as f32;
    let alone = |rank, i| 0.5 * input(rank, i) + 0.25;
    let sum = |of: &dyn Fn(usize) -> f32| (0..world).map(of).sum::<f32>();
    let first = |i| sum(&|r| 2.0 * input(r, i) + 1.0) + 1.0;
    let second = |i| sum(&|r| input(r, i) * input(r, i));
    let third = |i| sum(&|r| input(r, i) * alone(r, i)) + alone(rank, i);
    BTreeMap::from([
        ("first".to_string(), (0..70_001).map(first).collect()),
        ("second".to_string(), (0..300_007).map(second).collect()),
        ("third".to_string(), (0..5).map(third).collect()),
    ])
}

#[test]
fn ranks_add_up_inside_of_a_graph_and_outside() {
    for (world, how) in [(2, "graphs"), (2, "launches"), (3, "graphs")] {
        let Some(ranks) = Ranks::new(world) else { return };
        for (rank, found) in ranks.results("sums", how).into_iter().enumerate() {
            assert!(found == expected(rank, world), "rank {rank} of {world} by {how}");
        }
    }
}

#[test]
fn one_rank_adds_up_with_a_communicator_as_without() {
    for how in ["graphs", "launches", "without"] {
        let Some(ranks) = Ranks::new(1) else { return };
        assert!(ranks.results("sums", how)[0] == expected(0, 1), "{how}");
    }
}

/// What two ranks compute differs from what one does only by the order of sums of f32: 1e-5 of a tensor's
/// largest change or value, as for every other comparison in f32.
#[test]
fn two_ranks_train_as_one_does_on_the_whole_batch() {
    let Some(one) = Ranks::new(1) else { return };
    let Some(two) = Ranks::new(2) else { return };
    let whole = one.results("step", "without").remove(0);
    assert_eq!(whole, one.results("step", "graphs")[0], "with a communicator");
    let graphs = two.results("step", "graphs");
    assert_eq!(graphs[0], graphs[1], "ranks stay equal");
    assert_eq!(graphs[0], two.results("step", "launches")[0], "graphs do what launches do");
    assert!(whole.len() > 20, "networks, optimisers, statistics");
    for (name, whole) in &whole {
        let scale = whole.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
        for (x, y) in whole.iter().zip(&graphs[0][name]) {
            assert!((x - y).abs() <= 1e-5 * scale, "{name}: {y} instead of {x}, largest {scale}");
        }
    }
}

#[test]
fn a_peer_that_dies_is_noticed() {
    for how in ["graphs", "launches"] {
        let Some(ranks) = Ranks::new(2) else { return };
        let said = ranks.run("die", LONG, how);
        failed(&said[0], &["NCCL: rank 0 of 2: a sum over ranks cannot end"]);
        // In the words of the library; NVIDIA's own does not know the rank.
        assert!(stand_in::is_real() || error(&said[0]).contains("rank 1 is gone"));
        assert_eq!(said[1].status.code(), None, "killed by a signal: {}", error(&said[1]));
    }
}

#[test]
fn a_peer_that_stops_is_noticed() {
    let Some(ranks) = Ranks::new(2) else { return };
    let said = ranks.run("stop", LONG, "graphs");
    failed(&said[0], &["NCCL: rank 0 of 2: a sum over ranks cannot end"]);
    failed(&said[1], &["NCCL: rank 1 of 2 has left the sums over ranks"]);
}

#[test]
fn a_peer_that_hangs_is_left_at_the_deadline() {
    let Some(ranks) = Ranks::new(2) else { return };
    let [first, mut second] = [0, 1].map(|rank| ranks.start(rank, "hang", 10, "graphs"));
    let said = first.wait_with_output().expect("it ends");
    second.kill().expect("it still hangs");
    second.wait().expect("it ends");
    failed(&said, &["NCCL: rank 0 of 2 waited 10 s for the device", "gone or stands still"]);
}

#[test]
fn a_peer_that_never_comes_is_named() {
    let Some(ranks) = Ranks::new(2) else { return };
    let said = ranks.start(0, "meet", 1, "graphs").wait_with_output().expect("it ends");
    failed(&said, &["NCCL: rank 0 of 2 waited 1 s, and not all of the 2 ranks came", "NCCL_DEBUG"]);
}

#[test]
fn two_ranks_on_one_gpu_are_refused() {
    let Some(ranks) = Ranks::new(2) else { return };
    for said in ranks.set("CUDA_VISIBLE_DEVICES", "0").run("meet", LONG, "graphs") {
        failed(&said, &["of 2: two ranks use one GPU, this rank cuda:0", "CUDA_VISIBLE_DEVICES"]);
    }
}

#[test]
fn a_library_that_is_absent_or_old_is_named_with_the_fix() {
    let Some(ranks) = Ranks::new(1) else { return };
    let Some(libraries) = ranks.libraries.clone() else { return };
    let version = |ranks: Ranks| ranks.run("version", LONG, "graphs").remove(0);
    let said = version(ranks);
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "[2, 28, 9]", "{}", error(&said));

    let new = || Ranks::new(1).expect("as above");
    let old = version(new().set("DUEL_STAND_IN_NCCL", "21701"));
    failed(&old, &["NCCL: version 2.17.1 is too old: 2.18 or newer is needed", "DUEL_NCCL"]);

    let mut without = new();
    let empty = without.folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    without.libraries = Some(empty.clone());
    let absent = version(without.set("NO", ""));
    failed(&absent, &["NCCL: libnccl.so.2 was not found (libnccl.so.2: ", "nvidia-nccl-cu12"]);

    // The variable leads to a folder or to the file; a name that it leads nowhere is an error, not a detour.
    for given in [libraries.clone(), libraries.join("libnccl.so.2")] {
        let mut elsewhere = new();
        elsewhere.libraries = Some(empty.clone());
        let found = version(elsewhere.set("DUEL_NCCL", &given.display().to_string()));
        assert!(found.status.success(), "{}", error(&found));
    }
    let nowhere = version(new().set("DUEL_NCCL", "/no/such/folder"));
    failed(&nowhere, &["NCCL: DUEL_NCCL is `/no/such/folder`", "libnccl.so.2"]);
}
