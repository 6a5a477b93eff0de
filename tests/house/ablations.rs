//! Ablations from the command line to the table: order, what is skipped, what goes on, what failed.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tests::duel::{Place, Said};

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// Networks of a few numbers on one-dimensional data.
pub const SMALL: &str = "
model:
  goodfellow:
    generator: {latent: 1, hidden: [4], output: linear}
    discriminator: {maxout: [4], pieces: 2}
data: {gaussian: {}}
batch: 16
images: 640
every: {report: 32, checkpoint: 160, samples: 1M}
";

/// Not in the order of the alphabet, and neither are the seeds.
pub const ABLATION: &str = "
base: small
set: {images: 960}
seeds: [3, 1, 2]
variants:
  zeta: {}
  alpha: {batch: 32}
  slow: {optimizer.generator.adam.rate: 1.0e-5}
compare: [value, d_real, loss_g]
";

fn place() -> Place {
    let place = Place::furnished(DUEL);
    place.write("small.yaml", SMALL);
    place.write("ablations/three.yaml", ABLATION);
    place
}

/// Runs whose end, failure or skipping is told, in order: `zeta seed 3: finished`.
fn told(err: &str) -> Vec<String> {
    let ends = ["finished already", "finished", "FAILED"];
    let lines = err.lines().filter_map(|line| line.strip_prefix('[')?.split_once("] "));
    let told = lines.filter_map(|(_, line)| {
        let (run, what) = line.split_once(": ")?;
        let end = ends.iter().find(|end| what.starts_with(**end))?;
        Some(format!("{run}: {end}"))
    });
    told.collect()
}

#[test]
fn variants_by_seeds_in_order_and_only_once() {
    let place = place();
    let said = place.duel("ablate ablations/three.yaml");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected: Vec<String> = [3, 1, 2]
        .iter()
        .flat_map(|seed| ["zeta", "alpha", "slow"].map(|name| format!("{name} seed {seed}")))
        .collect();
    let finished: Vec<String> = expected.iter().map(|run| format!("{run}: finished")).collect();
    assert_eq!(told(&said.err), finished);
    assert!(said.err.contains("[1/9] zeta seed 3: 960 images"), "{}", said.err);
    assert!(said.err.contains("; 8 to go, "), "{}", said.err);
    let resolved = place.text("runs/three/alpha/seed1/resolved.yaml");
    for part in ["batch: 32\n", "images: 960\n", "seed: 1\n"] {
        assert!(resolved.contains(part), "{resolved}");
    }
    let listed = place.duel("runs --json").fine();
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list");
    assert_eq!(listed.len(), 9);
    assert!(listed.iter().all(|run| run["state"] == "finished"), "{listed:?}");
    // Each of them is the run that `duel train` makes.
    place.duel("train runs/three/alpha/seed1/resolved.yaml --out alone").fine();
    assert_eq!(place.metrics("alone"), place.metrics("runs/three/alpha/seed1"));

    let before = place.everything();
    let again = place.duel("ablate ablations/three.yaml --jobs 2");
    assert_eq!((again.code, &again.out), (Some(0), &said.out), "{}", again.err);
    let skipped: Vec<String> =
        expected.iter().map(|run| format!("{run}: finished already")).collect();
    assert_eq!(told(&again.err), skipped);
    assert!(place.everything() == before, "finished runs were touched");
}

/// Mean and standard error, computed here once more.
fn statistics(all: &[f64]) -> [f64; 2] {
    let n = all.len() as f64;
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    [mean, (variance / n).sqrt()]
}

/// The numbers of a cell such as `-1.3 ± 0.1<br>Δ +0.2 ± 0.3`.
fn numbers(cell: &str) -> Vec<f64> {
    let words = cell.replace("<br>", " ");
    words.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_table_says_what_the_logs_say() {
    let place = place();
    place.duel("ablate ablations/three.yaml").fine();
    // Of 30 lines (15 where a batch is 32) the last tenth, rounded up.
    let figures = |name: &str, key: &str| -> Vec<f64> {
        let of_seed = |seed| {
            let lines = place.metrics(&format!("runs/three/{name}/seed{seed}"));
            let last = &lines[lines.len() - lines.len().div_ceil(10)..];
            let values = last.iter().map(|line| line[key].as_f64().expect("a number"));
            values.sum::<f64>() / last.len() as f64
        };
        [3, 1, 2].map(of_seed).to_vec()
    };
    assert_eq!(place.metrics("runs/three/zeta/seed3").len(), 30);
    let table = place.text("runs/three/table.md");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows[0], ["variant", "n", "value", "d_real", "loss_g"]);
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), ["zeta", "alpha", "slow"]);
    for row in &rows[1..] {
        assert_eq!(row[1], "3 of 3");
        for (cell, key) in row[2..].iter().zip(["value", "d_real", "loss_g"]) {
            let [ours, zeta] = [row[0], "zeta"].map(|name| figures(name, key));
            let mut expected = statistics(&ours).to_vec();
            if row[0] != "zeta" {
                let pairs: Vec<f64> = ours.iter().zip(&zeta).map(|(a, b)| a - b).collect();
                expected.extend(statistics(&pairs));
            }
            let found = numbers(cell);
            assert_eq!(found.len(), expected.len(), "{cell}");
            for (pair, known) in found.chunks(2).zip(expected.chunks(2)) {
                // Rounded to two digits of the error.
                let close = |a: f64, b: f64| (a - b).abs() <= 0.06 * known[1];
                assert!(close(pair[0], known[0]) && close(pair[1], known[1]), "{cell}: {known:?}");
            }
        }
    }
}

#[test]
fn several_at_once_give_the_same_table() {
    let place = place();
    place.duel("ablate ablations/three.yaml --out one").fine();
    let said = place.duel("ablate ablations/three.yaml --jobs 2 --out two");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(told(&said.err).len(), 9);
    assert_eq!(place.text("one/table.md"), place.text("two/table.md"));
    assert!(place.text("two/zeta/seed3.log").contains("100 %"), "where a run tells");
}

#[test]
fn one_variant_alone_and_the_rest_later() {
    let place = place();
    let said = place.duel("ablate ablations/three.yaml --only slow --only zeta");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(told(&said.err).len(), 6);
    assert!(!place.path("runs/three/alpha").exists());
    assert!(place.text("runs/three/table.md").contains("| alpha   | 0 of 3 |"));
    let said = place.duel("ablate ablations/three.yaml");
    assert_eq!(told(&said.err).iter().filter(|run| run.contains("already")).count(), 6);
    assert!(place.text("runs/three/table.md").contains("| alpha   | 3 of 3 |"));
}

/// A variant that throws its weights away does not take the others with it.
#[test]
fn failures_are_told_at_the_end() {
    let place = place();
    let explode = "
  explode: {optimizer.generator.adam.rate: 1.0e+30}
compare";
    let text = ABLATION.replace("\ncompare", explode).replace("[3, 1, 2]", "[3]");
    place.write("ablations/four.yaml", text.replace("  slow", "  other: {k: 2}\n  slow"));
    let Said { code, out, err } = place.duel("ablate ablations/four.yaml --jobs 2");
    assert_eq!(code, Some(1), "{err}");
    let mut ends = told(&err);
    ends.sort();
    let finished = |name: &str| format!("{name} seed 3: finished");
    let mut expected = ["alpha", "other", "slow", "zeta"].map(finished).to_vec();
    expected.insert(1, "explode seed 3: FAILED".to_string());
    assert_eq!(ends, expected);
    let (_, end) = err.split_once("error: ").expect("an error at the end");
    let first = "1 of 5 runs failed; the same command tries them again\n  explode seed 3: step 2 (";
    assert!(end.starts_with(first), "{end}");
    assert!(end.contains("Try a lower learning rate"), "{end}");
    assert!(out.contains("zeta") && out.contains("Δ"), "no table: {out}");
    let table = place.text("runs/four/table.md");
    assert!(table.contains("| explode | 0 of 1 |"), "{table}");
    assert!(table.contains("## Failures\n\n- explode, seed 3: step 2 ("), "{table}");
    let again = place.duel("ablate ablations/four.yaml");
    assert_eq!(again.code, Some(1), "{}", again.err);
    assert_eq!(place.text("runs/four/table.md"), table);
}

/// What is the same after every interruption: the table, and every run.
fn equals(place: &Place, ours: &str, whole: &str) {
    assert_eq!(place.text(&format!("{ours}/table.md")), place.text(&format!("{whole}/table.md")));
    for name in ["first", "second"] {
        for seed in [0, 1] {
            let [a, b] = [ours, whole].map(|folder| format!("{folder}/{name}/seed{seed}"));
            assert_eq!(place.metrics(&a), place.metrics(&b));
            let last = "checkpoints/000000001920.safetensors";
            let same = place.read(&format!("{a}/{last}")) == place.read(&format!("{b}/{last}"));
            assert!(same, "{a}");
        }
    }
}

/// Runs of a second or two each, so that an end finds one at work.
fn longer() -> Place {
    let place = place();
    let text = "
base: dcgan
set: {images: 1920, every: {report: 64, samples: 960, checkpoint: 480}}
seeds: [0, 1]
variants: {first: {}, second: {ema: 0.5}}
compare: [value, d_fake]
";
    place.write("longer.yaml", text);
    place.duel("ablate longer.yaml --out whole").fine();
    place
}

fn start(place: &Place, words: &str) -> Child {
    let mut command = place.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// Waits until a run has told so many lines, or everything is over.
fn reach(place: &Place, run: &str, lines: usize, child: &mut Child) {
    let log = place.path(run).join("metrics.jsonl");
    while fs::read_to_string(&log).unwrap_or_default().lines().count() < lines {
        if child.try_wait().expect("our child").is_some() {
            return;
        }
        sleep(Duration::from_millis(1));
    }
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status();
    assert!(sent.expect("a shell").success());
}

/// The processes of its runs, where the system lists them.
fn children(parent: &Child) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id()));
    let list = list.unwrap_or_default();
    list.split_whitespace().map(|id| id.parse().expect("a number")).collect()
}

#[test]
fn killed_three_times_it_ends_with_the_same_table() {
    let place = longer();
    for (run, lines, also_run) in
        [("first/seed0", 5, true), ("second/seed0", 20, false), ("first/seed1", 1, true)]
    {
        let mut child = start(&place, "ablate longer.yaml --out killed");
        reach(&place, &format!("killed/{run}"), lines, &mut child);
        // The run goes with it, or is left alone and must end by itself.
        let runs = if also_run { children(&child) } else { Vec::new() };
        child.kill().expect("our child");
        runs.into_iter().for_each(|run| signal("KILL", run));
        let said = Said::of(child.wait_with_output().expect("our child"));
        assert_eq!(said.code, None, "it was over before: {}", said.err);
    }
    let said = place.duel("ablate longer.yaml --out killed");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(told(&said.err).iter().any(|run| run == "first seed 0: finished already"));
    equals(&place, "killed", "whole");
}

#[test]
fn sigterm_stops_it_and_it_goes_on() {
    let place = longer();
    for (jobs, run) in [(1, "second/seed0"), (2, "first/seed1")] {
        let mut child = start(&place, &format!("ablate longer.yaml --out stopped --jobs {jobs}"));
        reach(&place, &format!("stopped/{run}"), 3, &mut child);
        let other = place.duel("ablate longer.yaml --out stopped").refused();
        assert!(other.starts_with("stopped: another `duel ablate` is at work here; "), "{other}");
        signal("TERM", child.id());
        let said = Said::of(child.wait_with_output().expect("our child"));
        assert_eq!(said.code, Some(75), "{}", said.err);
        assert!(said.err.ends_with("stopped; the same command goes on\n"), "{}", said.err);
        // The child has ended before its parent did, with a checkpoint between two reports.
        let files = place.files(&format!("stopped/{run}/checkpoints"));
        assert!(!files.is_empty() && !files.contains_key("000000001920.safetensors"), "{run}");
    }
    let said = place.duel("ablate longer.yaml --out stopped");
    assert_eq!(said.code, Some(0), "{}", said.err);
    equals(&place, "stopped", "whole");
}

/// As the system does where memory is short.
#[test]
#[cfg(target_os = "linux")]
fn a_run_that_is_killed_leaves_the_others_alone() {
    let place = longer();
    let mut child = start(&place, "ablate longer.yaml --out shot");
    reach(&place, "shot/second/seed0", 3, &mut child);
    let runs = children(&child);
    assert_eq!(runs.len(), 1);
    signal("KILL", runs[0]);
    let said = Said::of(child.wait_with_output().expect("our child"));
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_eq!(
        told(&said.err),
        [
            "first seed 0: finished",
            "second seed 0: FAILED",
            "first seed 1: finished",
            "second seed 1: finished"
        ]
    );
    let reason =
        "1 of 4 runs failed; the same command tries them again\n  second seed 0: ended by signal 9";
    assert!(said.err.contains(reason), "{}", said.err);
    assert_eq!(place.duel("ablate longer.yaml --out shot").code, Some(0));
    equals(&place, "shot", "whole");
}

#[test]
fn a_dry_run_tells_the_cost_and_makes_nothing() {
    let place = place();
    place.write("smoke.yaml", ABLATION.to_owned() + "smoke: {seeds: [7], images: 96, k: 2}\n");
    let before = place.everything();
    let full = place.duel("ablate smoke.yaml --dry-run").fine();
    assert!(full.starts_with("smoke: seeds 3, 1, 2\nzeta: nothing changed\n"), "{full}");
    assert!(full.contains("\nalpha: batch: 32\n  960 images in 30 iterations of 32; "), "{full}");
    assert!(full.contains("in all: 9 runs, 8.6k images, "), "{full}");
    let smoke = place.duel("ablate smoke.yaml --dry-run --smoke --only zeta").fine();
    assert!(smoke.starts_with("smoke_smoke: seeds 7\n"), "{smoke}");
    assert!(smoke.contains("  96 images in 3 iterations of 32; "), "{smoke}");
    assert!(smoke.contains("in all: 1 run, 96 images, "), "{smoke}");
    // Two steps of D and one of G, as `duel show` counts them.
    let flops = |text: &str, before: &str, after: &str| -> f64 {
        let text = text.split_once(before).expect(before).1.split_once(after).expect(after).0;
        let text = text.rsplit(", ").next().expect("something").replace(" k", "e3");
        text.replace(" M", "e6").trim().parse().unwrap_or_else(|_| panic!("{text}"))
    };
    let show = place.duel("show small.yaml").fine();
    let [d, g] =
        ["discriminator_step: ", "generator_step: "].map(|name| flops(&show, name, "FLOP"));
    let each = flops(&smoke, "each ", "FLOP");
    // Three digits are printed of each.
    assert!((each - (2.0 * d + g)).abs() < 0.01 * each, "{each}, {d}, {g}");
    let all = flops(&smoke, "in all: ", "FLOP");
    assert!((all - 3.0 * each).abs() < 0.01 * all, "{all}");
    assert!(place.everything() == before);

    place.duel("ablate smoke.yaml --smoke").fine();
    assert!(place.path("runs/smoke_smoke/slow/seed7/resolved.yaml").exists());
    let hours = place.duel("ablate smoke.yaml --smoke --dry-run").fine();
    assert!(hours.ends_with("at the speed of 3 runs that are finished\n"), "{hours}");
}

/// A kill can come before a run has said what it is.
#[test]
fn a_run_that_was_cut_short_before_it_began() {
    let place = place();
    for part in ["checkpoints", "samples"] {
        fs::create_dir_all(place.path("runs/three/zeta/seed3").join(part)).expect("a folder");
    }
    place.write("runs/three/ablation.json", "{}");
    place.write("runs/three/zeta/seed3/program.txt", "half");
    place.duel("ablate ablations/three.yaml").fine();
    assert!(place.text("runs/three/table.md").contains("| zeta    | 3 of 3 |"));
}

/// Every figure that a line holds can be compared, and nothing else is offered.
#[test]
fn figures_are_those_of_the_logs() {
    let place = place();
    place.duel("train small.yaml --out run").fine();
    let line: Value = serde_json::from_str(place.text("run/metrics.jsonl").lines().next().unwrap())
        .expect("an object");
    let measured = line.as_object().expect("an object").iter();
    let measured: Vec<&String> = measured
        .filter(|(key, value)| value.is_f64() && key.as_str() != "optimum")
        .map(|(key, _)| key)
        .collect();
    assert!(measured.len() >= 7, "{measured:?}");
    for key in measured {
        place.write("x.yaml", ABLATION.replace("[value, d_real, loss_g]", &format!("[{key}]")));
        place.duel("ablate x.yaml --dry-run").fine();
    }
}

/// The ablations of the house, at both sizes.
#[test]
fn ours_can_be_run() {
    let place = place();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/ablations");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let file = entry.expect("readable").path();
        let said = place.duel(&format!("ablate {} --dry-run", file.display())).fine();
        let smoke = place.duel(&format!("ablate {} --dry-run --smoke", file.display())).fine();
        assert!(said.contains("300k images") && !smoke.contains("300k images"), "{said}{smoke}");
        let text = fs::read_to_string(&file).expect("text");
        assert!(text.contains("# Length: about"), "{}", file.display());
        count += 1;
    }
    assert_eq!(count, 4);
}
