//! Lists the PTX files, so that a new family of kernels needs no entry anywhere.

use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new("../../kernels/ptx");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(folder).expect("kernels/ptx is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "ptx"));
    files.sort();
    let mut table = String::from("&[\n");
    for path in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.canonicalize().expect("it exists");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        table += &format!("    ({name:?}, include_str!({:?})),\n", path.display().to_string());
    }
    table += "]\n";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("ptx.rs"), table).expect("a table of the PTX files");
}
