//! Bugs that are planted into copies of the kernels, one at a time: what is here to find them does.
//!
//! A bug is an exact replacement that fits once, so that it fails loudly when the kernels move on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A bug: in which file, what stands there, what is put there instead, which case of
/// `tests/stand_in/drive` is to find it, and what it says then.
struct Bug {
    name: &'static str,
    file: &'static str,
    is: &'static str,
    becomes: &'static str,
    case: &'static str,
    found: &'static [&'static str],
}

const BUGS: [Bug; 6] = [
    Bug {
        name: "no barrier before what other warps wrote is read",
        file: "sums.cuh",
        is: "  __syncthreads();\n",
        becomes: "",
        case: "reduce",
        found: &["error: sum_rows: element"],
    },
    Bug {
        name: "a barrier that some threads do not come to",
        file: "sums.cuh",
        is: "  __syncthreads();\n",
        becomes: "  if (threadIdx.x < 64) __syncthreads();\n",
        case: "reduce",
        found: &[
            "kernel sum_rows, block (",
            "deadlock: 64 threads wait at __syncthreads, 192 have returned",
        ],
    },
    Bug {
        name: "no wait for copies to shared memory",
        file: "gemm.cuh",
        is: "    ptx::cp_async_wait<AHEAD - 1>();\n",
        becomes: "",
        case: "matmul",
        found: &["error: matmul_", "nan and not"],
    },
    Bug {
        name: "two registers of a fragment exchanged",
        file: "gemm_math.cuh",
        is: "    ptx::mma_bf16(d, a, b0, b1);\n",
        becomes: "    const uint32_t exchanged[4] = {a[0], a[2], a[1], a[3]};\n    \
                  ptx::mma_bf16(d, exchanged, b0, b1);\n",
        case: "matmul",
        found: &["error: matmul_bf16_nn: element"],
    },
    Bug {
        name: "a store behind the end of a tensor",
        file: "noise.cu",
        is: "rest < 4 ? rest : 4",
        becomes: "4",
        case: "noise",
        found: &["AddressSanitizer: heap-buffer-overflow", "WRITE of size"],
    },
    Bug {
        name: "four elements at once from where they are not aligned",
        file: "image.cu",
        is: " && segment.x % 4 == 0",
        becomes: "",
        case: "image",
        found: &["misaligned address"],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_path_buf()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// The text with one place of it replaced. There must be one.
fn replaced(text: &str, is: &str, becomes: &str, what: &str) -> String {
    assert_eq!(text.matches(is).count(), 1, "{what}: `{is}` stands there once");
    text.replacen(is, becomes, 1)
}

/// Builds the driver of kernels and gives its path.
fn driver(out: &Path, kernels: &Path, cases: Option<(&str, &Path)>) -> PathBuf {
    let mut build = Command::new("bash");
    build.arg(root().join("tests/stand_in/build.sh")).arg(out).arg("drive").env("KERNELS", kernels);
    if let Some((cases, blocks)) = cases {
        build.env("CASES", cases).env("BLOCKS", blocks);
    }
    let built = build.output().expect("bash is there");
    assert!(built.status.success(), "the driver of kernels does not build:\n{}", said(&built));
    out.join("drive/drive")
}

/// A copy of the kernels with a bug. What has not changed since the last run keeps its time.
fn plant(bug: &Bug, into: &Path) {
    fs::create_dir_all(into).expect("a folder below target/");
    for entry in fs::read_dir(root().join("kernels")).expect("the kernels are there") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.ends_with(".cu") && !name.ends_with(".cuh") {
            continue;
        }
        let mut text = fs::read_to_string(&path).expect("text");
        if name == bug.file {
            text = replaced(&text, bug.is, bug.becomes, bug.name);
        }
        let copy = into.join(name);
        if fs::read_to_string(&copy).ok().as_ref() != Some(&text) {
            fs::write(copy, text).expect("a copy below target/");
        }
    }
}

/// Every kernel does what it should under sanitizers, and each planted bug is found.
#[test]
fn bugs_in_kernels_are_found() {
    if tests::stand_in::folder().is_none() {
        return;
    }
    let blocks = root().join("target/stand_in_drive");
    let sound = Command::new(driver(&blocks, &root().join("kernels"), None)).output();
    let sound = sound.expect("the driver starts");
    assert!(sound.status.success(), "{}", said(&sound));
    for (i, bug) in BUGS.iter().enumerate() {
        let out = root().join(format!("target/planted/{i}"));
        plant(bug, &out.join("source"));
        let driver = driver(&out, &out.join("source"), Some((bug.case, &blocks)));
        let ran = Command::new(driver).arg(bug.case).output().expect("the driver starts");
        let said = said(&ran);
        assert!(!ran.status.success(), "not found: {}", bug.name);
        for found in bug.found {
            assert!(
                said.contains(found),
                "{} was found otherwise than by `{found}`:\n{said}",
                bug.name
            );
        }
    }
}

/// Runs `tests/stand_in/order.cpp` on the stand-in's driver, with one line of it taken out.
fn order(without: Option<&str>) -> Output {
    let folder = tests::stand_in::folder().expect("the caller has looked");
    let text = fs::read_to_string(root().join("tests/stand_in/order.cpp")).expect("text");
    let (text, name) = match without {
        Some(line) => (replaced(&text, line, "", line), line.len().to_string()),
        None => (text, "whole".to_string()),
    };
    let planted = root().join("target/planted/order");
    fs::create_dir_all(&planted).expect("a folder below target/");
    let [source, program] = [format!("{name}.cpp"), name].map(|name| planted.join(name));
    fs::write(&source, text).expect("a file below target/");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_string());
    let built = Command::new(compiler)
        .args(["-std=c++17", "-o"])
        .args([&program, &source])
        .arg("-L")
        .arg(folder)
        .arg("-lcuda")
        .output()
        .expect("there is a compiler");
    assert!(built.status.success(), "{}", said(&built));
    Command::new(program).env("LD_LIBRARY_PATH", folder).output().expect("it starts")
}

/// A stream that does not wait for another sees what was there before, at least once in twenty.
#[test]
fn missing_events_are_found() {
    if tests::stand_in::folder().is_none() {
        return;
    }
    let whole = order(None);
    assert!(whole.status.success(), "{}", said(&whole));
    assert!(said(&whole).starts_with("0 of 20 wrong"), "{}", said(&whole));
    for line in [
        "    CHECK(cuStreamWaitEvent(side, forked, 0));\n",
        "    CHECK(cuStreamWaitEvent(stream, joined, 0));\n",
    ] {
        let ran = order(Some(line));
        assert!(!ran.status.success(), "not found: {line}");
        assert!(!said(&ran).starts_with("0 of 20 wrong"), "not found without a graph: {line}");
    }
    // A capture does not even end.
    let unjoined = order(Some("    CHECK(cuStreamWaitEvent(stream, joined, 0));\n"));
    assert!(
        said(&unjoined).contains("cuStreamEndCapture(s.stream, &graph) answers 904"),
        "{}",
        said(&unjoined)
    );
}
