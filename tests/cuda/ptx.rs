//! The PTX that is committed is the PTX of the sources that are committed.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn kernels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").join("kernels")
}

/// Files of `kernels/` or below with this ending, sorted.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == ending));
    files.sort();
    files
}

/// What `kernels/build.sh` writes into the first line: the hash of a source and of all headers.
fn hash(source: &Path) -> String {
    let mut hash = Sha256::new();
    for path in [vec![source.to_path_buf()], files(&kernels(), "cuh")].concat() {
        hash.update(fs::read(path).expect("readable"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn ptx_is_of_these_sources() {
    for source in files(&kernels(), "cu") {
        let stem = source.file_stem().expect("a name").to_string_lossy().into_owned();
        let target = if stem.ends_with("_sm90a") { "sm_90a" } else { "sm_80" };
        let ptx = kernels().join(format!("ptx/{stem}.{target}.ptx"));
        let text = fs::read_to_string(&ptx)
            .unwrap_or_else(|_| panic!("{stem}.cu has no PTX; `make kernels`"));
        let first = text.lines().next().unwrap_or_default();
        let expected = format!("// {stem}.cu sha256:{}", hash(&source));
        assert_eq!(
            first, expected,
            "{stem}.cu has changed since its PTX was built; `make kernels`"
        );
    }
}

#[test]
fn nothing_is_left_over() {
    let stems = |folder: &Path, ending| -> BTreeSet<String> {
        let stem = |path: PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            name.split('.').next().unwrap_or_default().to_string()
        };
        files(folder, ending).into_iter().map(stem).collect()
    };
    assert_eq!(stems(&kernels().join("ptx"), "ptx"), stems(&kernels(), "cu"));
}

/// A name in two files would be one kernel by luck.
#[test]
fn names_are_of_one_file() {
    let mut seen = BTreeSet::new();
    for ptx in files(&kernels().join("ptx"), "ptx") {
        let text = fs::read_to_string(&ptx).expect("text");
        for rest in text.split(".entry ").skip(1) {
            let name = rest.split('(').next().unwrap_or_default().trim().to_string();
            assert!(seen.insert(name.clone()), "{name} is in two PTX files");
            assert!(cuda::entries().contains_key(&*name), "{name} has parameters of unknown size");
        }
    }
}
