//! Every operation against cores: the tests of the CUDA layer, family by family.

use crate::arguments::Arguments;
use crate::beside::beside;
use crate::child;
use crate::row::Row;
use crate::stages::{Failed, attempt};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const STAGE: &str = "parity";
/// Tests of the sources and of the stand-in, and tests that start programs of theirs: neither lies
/// beside this one. NCCL with one rank is looked at by the stage `replays`.
const ELSEWHERE: [&str; 5] = ["bad_input", "commands", "nccl", "planted", "ptx"];
/// Of one family.
const LIMIT: Duration = Duration::from_secs(60);

/// The tests, told to use this machine's GPU.
pub fn tests(words: &[&str]) -> Command {
    let mut command = Command::new(beside("cuda-tests"));
    command.env("DUEL_CUDA", "real").args(words);
    command
}

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let log = arguments.out.join("parity-list.log");
    let (list, ended) = child::run(&mut tests(&["--list"]), &log, LIMIT)?;
    if let Some(why) = ended.wrong(&log) {
        return Err(why.into());
    }
    for (family, count) in families(&list) {
        let log = arguments.out.join(format!("parity-{family}.log"));
        attempt(STAGE, &family, || Ok(row(&family, count, &log)?));
    }
    Ok(())
}

/// Modules of the tests, with how many tests each has.
fn families(list: &str) -> BTreeMap<String, usize> {
    let mut families = BTreeMap::new();
    for test in list.lines().filter_map(|line| line.strip_suffix(": test")) {
        let family = test.split_once("::").map_or(test, |(family, _)| family);
        if ELSEWHERE.contains(&family) {
            continue;
        }
        *families.entry(family.to_string()).or_default() += 1;
    }
    families
}

fn row(family: &str, count: usize, log: &Path) -> Result<Row, String> {
    let filter = format!("{family}::");
    let mut command = tests(&[&filter, "--test-threads", "1", "--nocapture"]);
    let (said, ended) = child::run(&mut command, log, LIMIT)?;
    std::fs::write(log.with_extension("out"), &said).ok();
    let worst = worst(&said);
    let figures: Vec<String> =
        worst.iter().map(|(precision, error)| format!("{error:.1e} {precision}")).collect();
    let figure = match figures.is_empty() {
        true => format!("{count} tests"),
        false => format!("{count} tests; off by at most {}", figures.join(", ")),
    };
    let failed: Vec<&str> = failures(&said);
    let reason = ended.wrong(log).map(|why| match failed.is_empty() {
        true => why,
        false => format!("{}: {why}", failed.join(", ")),
    });
    let data = json!({"tests": count, "worst": worst, "failed": failed});
    Ok(Row::unless(STAGE, family, reason).figure(figure).data(data))
}

/// The largest error of each precision: tests say `parity <family> <precision> <error>`, behind
/// their names on the same line.
fn worst(said: &str) -> BTreeMap<String, f64> {
    let mut worst: BTreeMap<String, f64> = BTreeMap::new();
    for words in said.lines().filter_map(|line| line.split_once("parity ")) {
        let mut words = words.1.split_whitespace().rev();
        let (Some(error), Some(precision)) = (words.next(), words.next()) else { continue };
        let Ok(error) = error.parse::<f64>() else { continue };
        let most = worst.entry(precision.to_string()).or_insert(0.0);
        *most = if error.is_nan() { f64::INFINITY } else { most.max(error) };
    }
    worst
}

/// The names that the list of failures at the end tells.
fn failures(said: &str) -> Vec<&str> {
    let Some((_, list)) = said.rsplit_once("\nfailures:\n") else { return Vec::new() };
    list.lines().map(str::trim).take_while(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod of_said {
    use super::*;

    const SAID: &str = "
running 2 tests
test conv::a ... parity conv f32 3.0e-7
parity conv bf16 4.1e-3
ok
test conv::b ... parity conv f32 9.0e-6
FAILED

failures:

---- conv::b stdout ----

failures:
    conv::b

test result: FAILED.
";

    #[test]
    fn errors_and_failures_are_found() {
        let worst = worst(SAID);
        assert_eq!((worst["f32"], worst["bf16"], worst.len()), (9.0e-6, 4.1e-3, 2));
        assert_eq!(failures(SAID), ["conv::b"]);
        let list = "conv::a: test\nptx::d: test\nconv::b: test\nreplay::c: test\n\n3 tests, 0 benchmarks\n";
        assert_eq!(families(list), [("conv".into(), 2), ("replay".into(), 1)].into());
    }
}
