//! Timed steps: they compute what steps compute, and what is told of them adds up.

use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tape::Dtype;
use tests::duel::{GAUSSIAN, Place};
use tests::{Pixels, experiment};
use train::{Progress, Recorded, clock};

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

/// The bytes of all state after two iterations, timed or not.
fn trained(timed: bool) -> Vec<Vec<u8>> {
    let model = json!({"dcgan": {"image": 16, "width": 4, "kernel": 4}});
    let spec = experiment(json!({"model": model, "batch": 8}));
    let recorded = Recorded::new(&spec, [16, 16, 3], Dtype::U8, 1);
    let Recorded { tape, steps, init, real, .. } = &recorded;
    let mut device = cpu::device(cpu::pool(2).expect("threads"), 4);
    device.load(tape, &tape::Options::default()).expect("the tape loads");
    let compiled = tape.compile(&tape::Options::default());
    let mut at = Progress::default();
    let names = tape.scalars();
    device.run(*init, &clock(&spec, &names, 0, &at)).expect("it starts");
    let mut pixels = vec![0; 8 * 16 * 16 * 3];
    Pixels::new([16, 16, 3]).fill(&mut pixels);
    for _ in 0..2 {
        for program in [steps.discriminator, steps.generator.expect("a program of its own")] {
            device.write(*real, &pixels).expect("the batch fits");
            at.tick += 1;
            let clock = clock(&spec, &names, 0, &at);
            if !timed {
                device.run(program, &clock).expect("the step runs");
                continue;
            }
            let times = device.profile(program, &clock).expect("the step runs");
            let nodes = &compiled.program(program).nodes;
            assert_eq!(times.len(), nodes.len());
            assert!(times.iter().sum::<Duration>() > Duration::ZERO);
            let views = nodes.iter().zip(&times).filter(|(node, _)| node.op.is_view());
            assert!(views.clone().count() > 2 && views.clone().all(|(_, time)| time.is_zero()));
        }
    }
    let read = |(_, t)| {
        let mut bytes = vec![0; tape.shape(t).len() * 4];
        device.read(t, &mut bytes).expect("state can be read");
        bytes
    };
    tape.saved().into_iter().map(read).collect()
}

#[test]
fn a_timed_step_is_a_step() {
    assert!(trained(true) == trained(false));
}

/// The rows of a kind.
fn rows<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|row| row["kind"] == kind).collect()
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("no `{key}` in {row}"))
}

/// What `duel show` prints of a program: `name: 132 operations, 23.7 GFLOP, …`
fn shown(text: &str, program: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{program}: "))).expect("a line");
    let amount = line.split(", ").nth(1).expect("its cost");
    let (digits, unit) = amount.split_once(' ').expect("a unit");
    let factor = match unit {
        "FLOP" => 1.0,
        "kFLOP" => 1e3,
        "MFLOP" => 1e6,
        _ => panic!("{line}"),
    };
    factor * digits.parse::<f64>().expect("a number")
}

/// Runs `duel profile`, and gives what it prints with its rows.
fn profiled(place: &Place, words: &str) -> (String, Vec<Value>) {
    let text =
        place.duel(&format!("profile {words} --json rows.json --steps 2 --threads 1")).fine();
    (text, serde_json::from_str(&place.text("rows.json")).expect("a list in JSON"))
}

#[test]
fn the_tables_add_up() {
    let place = Place::furnished(DUEL);
    for (file, programs) in [("dcgan.yaml", [1.0, 1.0]), ("goodfellow.yaml", [2.0, 1.0])] {
        let (text, all) = profiled(&place, &format!("{file} --out picture.png"));
        assert_eq!(text.lines().last(), Some("picture.png"));
        let [total] = rows(&all, "total")[..] else { panic!("{all:?}") };
        let operations = rows(&all, "operation");
        for key in ["flop", "bytes", "runs", "seconds", "share"] {
            let sum: f64 = operations.iter().map(|row| number(row, key)).sum();
            let whole = number(total, key);
            assert!(
                whole > 0.0 && (sum / whole - 1.0).abs() < 1e-9,
                "{file} {key}: {sum} of {whole}"
            );
        }
        assert!((number(total, "share") - 1.0).abs() < 1e-9);
        // `show` prints three digits.
        let show = place.duel(&format!("show {file}")).fine();
        let steps = ["discriminator_step", "generator_step"].map(|name| shown(&show, name));
        let expected = steps[0] * programs[0] + steps[1] * programs[1];
        let flop = number(total, "flop");
        assert!((flop / expected - 1.0).abs() < 0.006, "{file}: {flop}, but {expected} are shown");
        // Each row of the file is a row of the table.
        for row in operations.iter().chain(&rows(&all, "layer")) {
            let mut words: Vec<String> = match row["operation"].as_str() {
                Some(name) => vec![name.to_string()],
                None => ["weight", "pass", "depth"]
                    .map(|key| row[key].to_string().trim_matches('"').to_string())
                    .to_vec(),
            };
            words.push(row["runs"].to_string());
            words.push(format!("{:.3}", 1e3 * number(row, "seconds")));
            words.push(format!("{:.1}", 100.0 * number(row, "share")));
            words.push("%".to_string());
            words.push(format!("{:.1}", number(row, "gflops")));
            words.push(format!("{:.1}", number(row, "gigabytes")));
            let told = text.lines().any(|line| {
                let line: Vec<&str> = line.split_whitespace().collect();
                line.starts_with(&words.iter().map(String::as_str).collect::<Vec<_>>())
            });
            assert!(told, "no line {words:?} in\n{text}");
        }
    }
}

/// Every layer of the small DCGAN, each way that it is used, with the terms of its sums: a batch of 16.
const LAYERS: [(&str, &str, u64); 17] = [
    ("generator.0.weight", "fprop", 8),
    ("generator.0.weight", "wgrad", 16),
    ("generator.1.weight", "fprop", 4 * 4 * 4),
    ("generator.1.weight", "dgrad", 2 * 2 * 8),
    ("generator.1.weight", "wgrad", 16 * 4 * 4),
    ("generator.2.weight", "fprop", 4 * 4),
    ("generator.2.weight", "dgrad", 2 * 2 * 4),
    ("generator.2.weight", "wgrad", 16 * 8 * 8),
    ("discriminator.0.weight", "fprop", 4 * 4),
    ("discriminator.0.weight", "dgrad", 2 * 2 * 4),
    ("discriminator.0.weight", "wgrad", 16 * 8 * 8),
    ("discriminator.1.weight", "fprop", 4 * 4 * 4),
    ("discriminator.1.weight", "dgrad", 2 * 2 * 8),
    ("discriminator.1.weight", "wgrad", 16 * 4 * 4),
    ("discriminator.2.weight", "fprop", 128),
    ("discriminator.2.weight", "dgrad", 1),
    ("discriminator.2.weight", "wgrad", 16),
];

#[test]
fn layers_lie_below_the_roof_of_this_machine() {
    let place = Place::furnished(DUEL);
    let (_, all) = profiled(&place, "dcgan.yaml --out picture.png");
    let layers = rows(&all, "layer");
    let told = layers.iter().map(|row| {
        let word = |key: &str| row[key].as_str().expect("a word");
        (word("weight"), word("pass"), row["depth"].as_u64().expect("K"))
    });
    assert_eq!(told.collect::<Vec<_>>(), LAYERS);
    let [ceiling] = rows(&all, "ceiling")[..] else { panic!("{all:?}") };
    let [peak, bandwidth] = ["gflops", "gigabytes"].map(|key| number(ceiling, key));
    for row in &layers {
        let intensity = number(row, "flop") / number(row, "bytes");
        let roof = peak.min(intensity * bandwidth);
        assert!((number(row, "roofline") / roof - 1.0).abs() < 1e-9, "{row}");
        let reached = number(row, "gflops") / roof;
        assert!((number(row, "share_of_roofline") / reached - 1.0).abs() < 1e-9, "{row}");
    }
    // G's first convolution goes forward in both programs: 16 · 4 · 4 sums over 8 · 4 · 4 · 4.
    let forward = &layers[3];
    assert_eq!([&forward["runs"], &forward["flop"]], [2, 2 * 2 * (16 * 4 * 4) * (8 * 4 * 4 * 4)]);

    let picture = image::open(place.path("picture.png")).expect("a PNG").to_rgb8();
    // The colours of the three passes: the dot of the legend, of radius 6, has 113 pixels of each.
    for colour in [[0, 114, 178], [213, 94, 0], [0, 158, 115]] {
        let near = |p: &&image::Rgb<u8>| p.0.iter().zip(colour).all(|(&a, b)| a.abs_diff(b) < 12);
        let pixels = picture.pixels().filter(near).count();
        assert!(pixels > 120, "{pixels} of {colour:?}");
    }
}

/// An experiment whose data set is not here, only its recipe; another that needs none.
#[test]
fn no_data_is_needed() {
    let place = Place::new(DUEL);
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let fashion = top.join("experiments/dcgan_fashion.yaml");
    let small = "--set batch=2 --set model.dcgan.width=2 --steps 1";
    let text = place.duel(&format!("profile {} {small}", fashion.display())).fine();
    let picture = "runs/dcgan_fashion/roofline.png";
    assert_eq!(text.lines().last(), Some(picture));
    let written: Vec<_> = place.everything().into_keys().filter(|path| path.is_file()).collect();
    assert_eq!(written, [place.path(picture)]);

    place.write("x.yaml", format!("{GAUSSIAN}precision: f64\n"));
    let text = place.duel("profile x.yaml --steps 1").fine();
    assert!(text.contains("discriminator.1.weight  wgrad"), "{text}");
}

#[test]
fn what_cannot_be_profiled() {
    let place = Place::furnished(DUEL);
    let before = place.everything();
    for (words, expected) in [
        ("--out roof.jpg", "--out roof.jpg: expected a name that ends in .png"),
        ("--out x.png --json x.png", "--json x.png: the picture goes there (`--out`)"),
    ] {
        assert_eq!(place.duel(&format!("profile dcgan.yaml {words}")).refused(), expected);
    }
    let message = place.duel("profile dcgan.yaml --out dcgan.yaml/roof.png").refused();
    assert!(message.starts_with("dcgan.yaml/roof.png: "), "{message}");
    let wild = "--set optimizer.discriminator.adam.rate=1e30 --steps 4 --out roof.png";
    let message = place.duel(&format!("profile dcgan.yaml {wild}")).refused();
    assert!(
        message.contains("not finite") && message.contains("lower the learning rates"),
        "{message}"
    );
    let said = place.duel("profile dcgan.yaml --steps 0");
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("--steps"), "{}", said.err);
    assert!(place.everything() == before);
}
