//! Runs that are ended from outside, at any moment, and go on as if nothing had happened.

use safetensors::SafeTensors;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tape::philox;
use tests::duel::{Place, Said};

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Everything is written often, so that an end finds something being written.
const BUSY: &str = "--set every.report=32 --set every.samples=96 --set every.checkpoint=48";

/// A place with the finished run `whole`.
fn place(sets: &str) -> Place {
    let place = Place::furnished(DUEL);
    place.duel(&format!("train dcgan.yaml --out whole {sets}")).fine();
    place
}

fn start(place: &Place, words: &str) -> Child {
    let mut command = place.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// Images that the run has told of.
fn shown(place: &Place, run: &str) -> u64 {
    let text = fs::read_to_string(place.path(&format!("{run}/metrics.jsonl"))).unwrap_or_default();
    let whole_lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let last = whole_lines.lines().last().and_then(|line| serde_json::from_str(line).ok());
    last.map_or(0, |line: serde_json::Value| line["images"].as_u64().expect("a count"))
}

/// Waits until the run has told of so many images, or is over.
fn reach(place: &Place, run: &str, images: u64, child: &mut Child) {
    let begun = |place: &Place| place.path(run).join("resolved.yaml").exists();
    while !begun(place) || shown(place, run) < images {
        if child.try_wait().expect("our child").is_some() {
            return;
        }
        sleep(Duration::from_millis(1));
    }
}

/// Checkpoints of `whole` that `run` has as well, bit for bit; the log; nothing half done.
fn equals_whole(place: &Place, run: &str) {
    let [ours, whole] = [run, "whole"].map(|run| place.files(&format!("{run}/checkpoints")));
    for (name, bytes) in &whole {
        assert!(ours.get(name) == Some(bytes), "{run}: {name} differs or is missing");
    }
    assert_eq!(place.metrics(run), place.metrics("whole"));
    let [ours, whole] = [run, "whole"].map(|run| place.files(&format!("{run}/samples")));
    assert!(ours == whole, "{:?}", ours.keys());
    assert!(place.path(run).join("curves.png").exists());
    let hidden = |path: &&std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    let everything = place.everything();
    let left: Vec<_> = everything.keys().filter(hidden).collect();
    assert!(left.iter().all(|path| path.ends_with(".lock")), "{left:?}");
}

fn stops_on(signal: &str) {
    let longer = format!("{BUSY} --set images=4800");
    let place = place(&longer);
    let mut child = start(&place, &format!("train dcgan.yaml --out run {longer}"));
    reach(&place, "run", 160, &mut child);
    let kill = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status();
    assert!(kill.expect("a shell").success());
    let said = Said::of(child.wait_with_output().expect("our child"));
    assert_eq!(said.code, Some(75), "{}", said.err);
    assert_eq!(said.out, "run\n");
    let last = place.files("run/checkpoints").into_keys().next_back().expect("a checkpoint");
    let images: u64 = last.trim_end_matches(".safetensors").parse().expect("a number");
    assert!((160..4800).contains(&images), "{images}");
    let expected = format!("stopped after {images} images; `duel resume run` goes on");
    assert!(said.err.contains(&expected), "{}", said.err);
    assert_eq!(place.duel("resume run").fine(), "run\n");
    equals_whole(&place, "run");
}

#[test]
fn sigterm_stops_at_a_checkpoint() {
    stops_on("TERM");
}

#[test]
fn sigint_stops_at_a_checkpoint() {
    stops_on("INT");
}

/// Whatever stands under its own name in the run directory is whole.
fn nothing_is_half_there(place: &Place, run: &str) {
    for (path, bytes) in place.everything() {
        let name = path.file_name().expect("a name").to_string_lossy().to_string();
        if !path.starts_with(place.path(run)) || name.starts_with('.') {
            continue;
        }
        let told = path.display();
        if name.ends_with(".png") {
            image::load_from_memory(&bytes).unwrap_or_else(|e| panic!("{told}: {e}"));
        } else if name.ends_with(".safetensors") {
            SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{told}: {e}"));
        } else if ["resolved.yaml", "program.txt"].contains(&name.as_str()) {
            assert!(bytes == place.read(&format!("whole/{name}")), "{told}");
        }
    }
}

/// One run, killed ten times, each time in the next tenth of its length and up to 10 ms after a
/// line of its log: long enough for every file to be in the making at some of them.
#[test]
fn a_run_outlives_ten_kills() {
    const LENGTH: u64 = 3840;
    let longer = format!("{BUSY} --set images={LENGTH}");
    let place = place(&longer);
    let mut kills = 0;
    for round in 0..10 {
        let words = match place.path("run").exists() {
            false => format!("train dcgan.yaml --out run {longer}"),
            true => "resume run".to_string(),
        };
        let mut child = start(&place, &words);
        reach(&place, "run", round * LENGTH / 10, &mut child);
        let random = philox::block(3, 0, round, 0, 0)[0] % 10_000;
        sleep(Duration::from_micros(u64::from(random)));
        child.kill().expect("our child");
        let said = Said::of(child.wait_with_output().expect("our child"));
        kills += u32::from(said.code.is_none());
        assert!(!said.err.contains("error"), "{}", said.err);
        nothing_is_half_there(&place, "run");
    }
    assert!(kills >= 8, "{kills} of 10 came before the end of the run");
    place.duel("resume run").fine();
    equals_whole(&place, "run");
}

/// What a kill can leave, at its worst: files in the making, half a line of the log, pictures and
/// lines that the last checkpoint does not know of.
#[test]
fn what_a_kill_leaves_is_cleared_away() {
    let place = place("");
    place.copy("whole", "run");
    for name in ["000000000720.safetensors", "000000000960.safetensors"] {
        fs::remove_file(place.path("run/checkpoints").join(name)).expect("a checkpoint");
    }
    place.write("run/checkpoints/.checkpoint.q7McHr.part", "half");
    place.write("run/samples/.000000000960.png.5AXXGJ.part", "half");
    place.write("run/.curves.png.Zk03aB.part", "");
    let log = place.text("run/metrics.jsonl") + "{\"step\":61,\"im";
    place.write("run/metrics.jsonl", log);
    place.duel("resume run").fine();
    equals_whole(&place, "run");
}

/// A kill can come before a run has said what it is.
#[test]
fn a_directory_without_a_run_is_told_from_a_run() {
    let place = Place::furnished(DUEL);
    fs::create_dir_all(place.path("run/checkpoints")).expect("a folder");
    let before = place.everything();
    let message = place.duel("resume run").refused();
    assert!(message.starts_with("run: found no `resolved.yaml`"), "{message}");
    assert!(message.contains("delete the directory and train again"), "{message}");
    assert!(place.everything() == before);
}
