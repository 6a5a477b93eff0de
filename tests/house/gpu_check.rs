//! The program that checks a machine with a GPU: what it says where there is none, and its stages on the
//! stand-in for a driver.

use serde_json::Value;
use std::process::{Command, Stdio};
use tests::duel::Said;
use tests::stand_in;

/// `gpu-check` with these words, in a folder of its own.
fn check(words: &str, configure: impl FnOnce(&mut Command)) -> (Said, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-check"));
    command.args(words.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null());
    command.env_remove("LD_LIBRARY_PATH");
    configure(&mut command);
    (Said::of(command.output().expect("the binary starts")), folder)
}

/// Where there is a GPU, it is hidden.
fn none(words: &str) -> Said {
    let hidden = |command: &mut Command| {
        command.env("CUDA_VISIBLE_DEVICES", "");
    };
    check(words, hidden).0
}

#[test]
fn without_a_gpu_it_says_so() {
    let said = none("");
    assert_eq!(said.code, Some(1), "{}", said.err);
    let allowed = none("--allow-none");
    assert_eq!(allowed.code, Some(0), "{}", allowed.err);
    for said in [said, allowed] {
        assert!(said.out.starts_with("no GPU was checked: "), "{}", said.out);
        let reason = ["no NVIDIA driver", "shows no device"];
        assert!(reason.iter().any(|reason| said.out.contains(reason)), "{}", said.out);
    }
}

#[test]
fn what_it_does_not_understand_it_refuses() {
    for (words, says) in [
        ("--only parity,party", "error: no stage `party`; there are machine, modules, parity,"),
        ("--seconds 0", "error: --seconds 0: expected a number of seconds"),
        ("--faster", "error: --faster: not understood"),
    ] {
        let said = none(words);
        assert_eq!(said.code, Some(2), "{}", said.out);
        assert!(said.err.starts_with(says), "{}", said.err);
    }
}

#[test]
fn stages_pass_on_the_stand_in_and_one_that_breaks_is_a_row() {
    let Some(driver) = stand_in::folder() else { return };
    let words = "--toy --only parity,modules,replays,memory,gaps --python no-python --out found";
    let (said, folder) = check(words, |command| {
        command.env("LD_LIBRARY_PATH", driver).env("DUEL_NCCL", driver);
    });
    let text = std::fs::read_to_string(folder.path().join("found/gpu-check.json"));
    let found: Value = serde_json::from_str(&text.expect("it was written")).expect("JSON");
    let rows = found["rows"].as_array().expect("rows");
    let of =
        |stage: &str| -> Vec<&Value> { rows.iter().filter(|row| row["stage"] == stage).collect() };
    // The tests of the CUDA layer do not lie beside this binary.
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    let parity = of("parity");
    assert_eq!((parity.len(), &parity[0]["result"]), (1, &"FAIL".into()), "{parity:?}");
    assert!(parity[0]["reason"].as_str().expect("text").contains("cuda-tests"), "{parity:?}");
    // NCCL's version, and two precisions, each run five times.
    assert_eq!(of("replays").len(), 11, "{}", said.out);
    for stage in ["modules", "replays", "memory", "gaps"] {
        let rows = of(stage);
        assert!(!rows.is_empty(), "{stage}: {}", said.out);
        for row in rows {
            let fine = row["result"] == "pass" || stage == "modules" && row["result"] == "skipped";
            assert!(fine, "{row}");
        }
    }
    let python = of("machine").into_iter().find(|row| row["check"] == "PyTorch").expect("a row");
    assert_eq!(python["result"], "skipped");
    assert!(folder.path().join("found/gpu-check.md").exists());
}
