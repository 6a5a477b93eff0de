//! The doors of the house: what each room may know, and how large a file may grow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the manifest of each crate may name among our own.
const DOORS: [(&str, &[&str]); 8] = [
    ("collective", &[]),
    ("tape", &[]),
    ("data", &[]),
    ("model", &["tape"]),
    ("cpu", &["collective", "tape"]),
    ("cuda", &["tape"]),
    ("train", &["model", "tape"]),
    ("runner", &["collective", "cpu", "cuda", "data", "model", "tape", "train"]),
];

/// Libraries that one crate alone may name.
const OWNERS: [(&str, &str); 5] = [
    ("serde_yaml", "runner"),
    ("arrow", "data"),
    ("rayon", "cpu"),
    ("clap", "runner"),
    ("cudarc", "cuda"),
];

/// Files that may hold `unsafe`, and why they must.
const UNSAFE: [(&str, &str); 13] = [
    ("crates/collective/src/", "calls of MPI, and memory that ranks hand over"),
    ("crates/collective/examples/", "memory that is handed over, to time it"),
    ("crates/collective/tests/", "memory that is handed over"),
    ("crates/cpu/src/sums.rs", "memory that is handed over until a sum has ended"),
    ("crates/cpu/src/kernels/", "SIMD tiles, and slices that tasks share"),
    ("crates/cpu/examples/", "a tile on its own, for the ceiling of the table"),
    ("crates/cpu/src/speed.rs", "a tile on its own, for the ceiling of this machine"),
    ("crates/cpu/src/memory.rs", "views of one block of memory"),
    ("crates/cpu/src/pages.rs", "advice on memory that an allocation holds"),
    ("crates/cpu/src/arms.rs", "operands that may lie where the result does"),
    ("crates/cuda/src/", "calls of the driver and of NCCL"),
    ("crates/data/src/", "memory maps, and libwebp"),
    ("crates/runner/src/scaling/", "an engine that hands on what another is handed"),
];

/// Lines that a file may have.
const LONGEST: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_path_buf()
}

/// Files below a folder, those that git would not see left out.
fn files(under: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(under).expect("the folder is there");
    for path in entries.map(|e| e.expect("readable").path()) {
        let name = path.file_name().expect("a name").to_string_lossy().to_string();
        if path.is_dir() {
            if !["target", "runs", "datasets", ".git", "__pycache__"].contains(&name.as_str())
                || path.ends_with("experiments/datasets")
            {
                files(&path, into);
            }
        } else {
            into.push(path);
        }
    }
}

/// Sources in Rust and Python, by their paths.
fn sources() -> BTreeMap<String, String> {
    texts(&["crates", "tests"], &["rs", "py"])
}

/// Sources for GPUs and of the stand-in, and scripts.
fn foreign_sources() -> BTreeMap<String, String> {
    texts(&["crates", "kernels", "tests"], &["cu", "cuh", "cpp", "h", "sh"])
}

fn texts(folders: &[&str], extensions: &[&str]) -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| files(&root().join(folder), &mut paths));
    paths.retain(|p| p.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)));
    let relative = |p: &Path| p.strip_prefix(root()).expect("inside").display().to_string();
    paths.iter().map(|p| (relative(p), fs::read_to_string(p).expect("text"))).collect()
}

fn manifest(room: &str) -> Vec<String> {
    let path = root().join("crates").join(room).join("Cargo.toml");
    let text = fs::read_to_string(path).expect("every room has a manifest");
    let table = text.split("[dependencies]").nth(1).expect("a table of dependencies");
    let table = table.split("\n[").next().expect("the table ends somewhere");
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or("").to_string();
    table.lines().map(name).filter(|n| !n.is_empty()).collect()
}

#[test]
fn rooms_have_the_doors_of_the_plan() {
    let rooms: Vec<&str> = DOORS.iter().map(|d| d.0).collect();
    for (room, doors) in DOORS {
        let needs = manifest(room);
        for other in needs.iter().filter(|n| rooms.contains(&n.as_str())) {
            assert!(doors.contains(&other.as_str()), "`{room}` must not know `{other}`");
        }
        for (library, owner) in OWNERS {
            let named = needs.iter().any(|n| n == library);
            assert!(room == owner || !named, "only `{owner}` names {library}, not `{room}`");
        }
    }
    assert!(manifest("tape").is_empty(), "`tape` depends on nothing");
    let mut found: Vec<String> = fs::read_dir(root().join("crates"))
        .expect("crates/ is there")
        .map(|e| e.expect("readable").file_name().to_string_lossy().to_string())
        .collect();
    found.sort();
    let mut listed = rooms.clone();
    listed.sort_unstable();
    assert_eq!(found, listed, "a room that this test does not know");
}

#[test]
fn one_file_names_the_yaml_library() {
    let named = |text: &str| text.contains("serde_yaml::") || text.contains("use serde_yaml");
    let files: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| path.starts_with("crates") && named(text))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(files, ["crates/runner/src/yaml.rs"]);
}

#[test]
fn unsafe_lives_in_few_places() {
    for (path, text) in sources() {
        let code = |line: &&str| {
            let line = line.trim_start();
            !line.starts_with("//") && (line.contains("unsafe {") || line.contains("unsafe fn"))
                || line.starts_with("unsafe impl")
        };
        let count = text.lines().filter(code).count();
        let allowed =
            path.starts_with("tests/") || UNSAFE.iter().any(|(at, _)| path.starts_with(at));
        assert!(count == 0 || allowed, "{path}: {count} times unsafe");
    }
}

#[test]
fn only_the_runner_prints() {
    for (path, text) in sources() {
        let free =
            ["crates/runner/", "tests/", "crates/cpu/examples/", "crates/collective/examples/"];
        // What a build script prints is for cargo.
        let to_cargo = path.ends_with("build.rs");
        if free.iter().any(|p| path.starts_with(p)) || path.contains("/tests") || to_cargo {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().expect("something before the tests");
        for print in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!("] {
            assert!(!code.contains(print), "{path}: {print}");
        }
    }
}

#[test]
fn train_is_handed_its_devices() {
    for (path, text) in sources().iter().filter(|(p, _)| p.starts_with("crates/train/src")) {
        for word in ["cpu::", "cuda::", "data::Sh", "serde_yaml"] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn files_stay_short_and_have_names() {
    for (path, text) in sources().into_iter().chain(foreign_sources()) {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{path} has {lines} lines; {LONGEST} are allowed");
        let stem = Path::new(&path).file_stem().expect("a name").to_string_lossy().to_string();
        for vague in ["utils", "util", "common", "misc", "helpers", "helper"] {
            assert!(stem != vague, "{path}: what is in it?");
        }
        let first = text.trim_start().lines().find(|line| !line.starts_with("#!"));
        let begins = |mark: &str| first.is_some_and(|line| line.starts_with(mark));
        let opens = match path.rsplit('.').next() {
            Some("rs") => begins("//!"),
            Some("py") => true,
            Some("sh") => begins("# "),
            _ => begins("// "),
        };
        let is_build_script = path.ends_with("build.rs");
        assert!(opens || is_build_script, "{path} does not say what is in it");
    }
}

/// The instructions of a GPU are named in one header; its twin models them on a CPU.
#[test]
fn one_header_holds_all_assembly() {
    let mut seen = 0;
    for (path, text) in foreign_sources() {
        let word = |line: &str| {
            let code = line.split("//").next().unwrap_or_default();
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
            code.split(|c| !letter(c)).any(|word| ["asm", "__asm", "__asm__"].contains(&word))
        };
        if path == "kernels/ptx.cuh" {
            seen = text.lines().filter(|line| word(line)).count();
        } else if !path.starts_with("tests/stand_in/") {
            let at = text.lines().position(word);
            assert!(at.is_none(), "{path}:{}: inline assembly", at.unwrap_or(0) + 1);
        }
    }
    assert!(seen > 5, "{seen} instructions in the header: this test looks for something else");
}

#[test]
fn nothing_is_left_open() {
    for (path, text) in sources().into_iter().chain(foreign_sources()) {
        if path.ends_with("tidiness.rs") {
            continue;
        }
        for word in ["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX", "#[ignore"] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn the_top_level_is_short() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "BENCHMARKS.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "crates",
        "experiments",
        "kernels",
        "tests",
        "target",
        "runs",
        "datasets",
    ];
    for entry in fs::read_dir(root()).expect("the project is there") {
        let name = entry.expect("readable").file_name().to_string_lossy().to_string();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "`{name}` at the top");
    }
}
