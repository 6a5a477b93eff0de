//! What each command prints, and what it leaves.

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use tests::duel::{Place, pixels};

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

const KEYS: [&str; 12] = [
    "step",
    "images",
    "loss_d",
    "loss_g",
    "value",
    "optimum",
    "d_real",
    "d_fake",
    "logit_fake",
    "diversity",
    "images_per_second",
    "data_wait",
];

#[test]
fn train_leaves_a_run_directory() {
    let place = Place::furnished(DUEL);
    let said = place.duel("train dcgan.yaml --set seed=3");
    assert!(said.err.contains("960"), "no progress: {}", said.err);
    assert!(!said.err.contains('\u{1b}'), "escape codes in a pipe: {:?}", said.err);
    assert_eq!(said.fine(), "runs/dcgan/seed3\n");
    let run = "runs/dcgan/seed3";
    let names: Vec<String> = place.files(run).into_keys().collect();
    for name in ["resolved.yaml", "program.txt", "metrics.jsonl", "curves.png"] {
        assert!(names.contains(&name.to_string()), "{name} of {names:?}");
    }
    let names: Vec<String> = place.files(&format!("{run}/samples")).into_keys().collect();
    assert_eq!(names, [0, 320, 640, 960].map(|n| format!("{n:012}.png")));
    let names: Vec<String> = place.files(&format!("{run}/checkpoints")).into_keys().collect();
    assert_eq!(names, [240, 480, 720, 960].map(|n| format!("{n:012}.safetensors")));

    let text = place.text(&format!("{run}/metrics.jsonl"));
    for (i, line) in text.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let fields = line.as_object().expect("an object");
        let mut keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        let mut expected = KEYS;
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert!(fields.values().all(|value| value.as_f64().is_some_and(f64::is_finite)), "{line}");
        assert_eq!(line["images"], (112 * (i + 1)).min(960));
        for key in ["d_real", "d_fake", "data_wait"] {
            assert!((0.0..=1.0).contains(&line[key].as_f64().expect("a number")), "{line}");
        }
    }
    assert_eq!(text.lines().count(), 9);

    let grid = image::open(place.path(&format!("{run}/samples/000000000960.png"))).expect("a PNG");
    assert!(grid.width() >= 8 * 16 && grid.height() >= 8 * 16);
    image::open(place.path(&format!("{run}/curves.png"))).expect("a PNG");
}

/// The resolved file is the experiment: it resolves to itself, and records the same program.
#[test]
fn the_resolved_file_resolves_to_itself() {
    let place = Place::furnished(DUEL);
    for name in ["dcgan", "goodfellow"] {
        place.duel(&format!("train {name}.yaml --set images=16 --out {name}")).fine();
        let again = format!("train {name}/resolved.yaml --out {name}2");
        place.duel(&again).fine();
        for file in ["resolved.yaml", "program.txt"] {
            let [one, two] = ["", "2"].map(|suffix| place.text(&format!("{name}{suffix}/{file}")));
            assert_eq!(one, two, "{file}");
        }
        let last = format!("checkpoints/{:012}.safetensors", 16);
        let [one, two] = ["", "2"].map(|suffix| place.read(&format!("{name}{suffix}/{last}")));
        assert!(one == two);
    }
}

#[test]
fn a_dry_run_prints_and_writes_nothing() {
    let place = Place::furnished(DUEL);
    let before = place.everything();
    let out = place.duel("train dcgan.yaml --dry-run --set batch=8").fine();
    for part in ["model:\n  dcgan:\n    image: 16\n", "\nbatch: 8\n", "beta2: 0.999", "peak"] {
        assert!(out.contains(part), "no `{part}` in {out}");
    }
    assert!(place.everything() == before);
}

/// Header and data of a `.npy`.
fn npy(bytes: &[u8]) -> (String, &[u8]) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, data) = bytes[10..].split_at(length);
    (String::from_utf8(header.to_vec()).expect("text"), data)
}

#[test]
fn samples_are_a_function_of_the_seed() {
    let place = Place::furnished(DUEL);
    place.duel("train dcgan.yaml --set images=160 --out run").fine();
    assert_eq!(place.duel("sample run").fine(), "run/sample.png\n");
    image::open(place.path("run/sample.png")).expect("a PNG");
    let draw = |words: &str, out: &str| {
        assert_eq!(
            place.duel(&format!("sample run {words} --out {out}")).fine(),
            format!("{out}\n")
        );
        place.read(out)
    };
    // 70 are more than one batch of 64.
    let one = draw("--n 70", "a.npy");
    let (header, data) = npy(&one);
    assert!(header.contains("'descr': '|u1'"), "{header}");
    assert!(header.contains("'shape': (70, 16, 16, 1)"), "{header}");
    assert_eq!(data.len(), 70 * 16 * 16);
    assert!(draw("--n 70", "b.npy") == one);
    assert!(draw("--n 70 --seed 0", "c.npy") == one, "0 is the seed of the run");
    assert!(draw("--n 70 --seed 1", "d.npy") != one);
    assert!(draw("--n 70 --no-ema", "e.npy") != one);
    assert!(draw("--n 9", "a.png") == draw("--n 9", "b.png"));
    assert!(draw("--n 9", "c.png") != draw("--n 9 --seed 1", "d.png"));
    // The first samples are the same, however many follow.
    assert!(npy(&draw("--n 64", "f.npy")).1 == &data[..64 * 16 * 16]);
    // The data is not needed.
    fs::remove_dir_all(place.path("datasets")).expect("a folder");
    place.write("datasets/tiny.yaml", recipe("tiny", b"", b""));
    place.write("run/datasets/tiny.yaml", recipe("tiny", b"", b""));
    assert!(draw("--n 70", "g.npy") == one);
}

/// Each experiment parses, resolves, records and plans, with no data on disk.
#[test]
fn every_experiment_can_be_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let place = Place::new(DUEL);
    let mut shown = 0;
    for entry in fs::read_dir(root.join("experiments")).expect("experiments") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let out = place.duel(&format!("show {}", path.display())).fine();
        // In the 2014 code one program moves both players.
        let alone = out.contains("discriminator_step") && out.contains("generator_step");
        assert!(alone || out.contains("simultaneous_step"), "{}: {out}", path.display());
        for part in ["peak", "FLOP"] {
            assert!(out.contains(part), "{}: no `{part}` in {out}", path.display());
        }
        shown += 1;
    }
    assert!(shown >= 4, "{shown} experiments");
    assert!(place.everything().is_empty());
}

/// A pair of IDX files: images of 6×6 and labels.
fn idx(count: usize) -> [Vec<u8>; 2] {
    let sizes = [count as u32, 6, 6];
    let mut images = 0x0803_u32.to_be_bytes().to_vec();
    images.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    pixels(count, 6).for_each(|image| images.extend(image));
    let mut labels = 0x0801_u32.to_be_bytes().to_vec();
    labels.extend((count as u32).to_be_bytes());
    labels.extend((0..count).map(|i| (i % 3) as u8));
    [images, labels]
}

fn recipe(name: &str, images: &[u8], labels: &[u8]) -> String {
    let entry = |bytes: &[u8]| {
        let digest: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        format!("{{bytes: {}, sha256: {digest}}}", bytes.len())
    };
    format!(
        "name: {name}\nlicence: none\ndescription: Noise.\nclasses: [a, b, c]\nimage: [{side}, {side}, 1]\n\
         importer: idx\nsplits: {{train: {{images: pictures, labels: names}}}}\n\
         files: {{pictures: {}, names: {}}}\nsources: [{{https: {{at: \"https://localhost/{{file}}\"}}}}]\n",
        entry(images),
        entry(labels),
        side = if images.is_empty() { 12 } else { 6 },
    )
}

#[test]
fn data_is_imported_inspected_and_verified() {
    let place = Place::new(DUEL);
    let [images, labels] = idx(50);
    for name in ["plain", "gzipped"] {
        place.write(&format!("{name}.yaml"), recipe(name, &images, &labels));
        for (file, bytes) in [("pictures", &images), ("names", &labels)] {
            let path = format!("datasets/.cache/{name}/{file}");
            if name == "plain" {
                place.write(&path, bytes);
            } else {
                let mut gz = GzEncoder::new(Vec::new(), Compression::default());
                gz.write_all(bytes).expect("memory");
                place.write(&format!("{path}.gz"), gz.finish().expect("memory"));
            }
        }
        let out = place.duel(&format!("data import {name}.yaml")).fine();
        assert_eq!(out, format!("datasets/{name}/train\n"));
    }
    let [plain, gzipped] =
        ["plain", "gzipped"].map(|n| place.files(&format!("datasets/{n}/train")));
    assert_eq!(plain.keys().collect::<Vec<_>>(), ["00000.arrow", "manifest.json"]);
    assert!(plain["00000.arrow"] == gzipped["00000.arrow"]);
    let manifest = |files: &std::collections::BTreeMap<String, Vec<u8>>, name: &str| {
        String::from_utf8(files["manifest.json"].clone()).expect("text").replace(name, "NAME")
    };
    assert_eq!(manifest(&plain, "plain"), manifest(&gzipped, "gzipped"));

    let out = place.duel("data inspect datasets/plain/train").fine();
    let mean = images[16..].iter().map(|&p| f64::from(p)).sum::<f64>() / (50.0 * 36.0);
    for part in ["rows      50\n", "6 × 6 × 1", &format!("mean {mean:.3}"), "class   2       16  c"]
    {
        assert!(out.contains(part), "no `{part}` in {out}");
    }
    let out = place.duel("data verify datasets/plain/train").fine();
    assert!(out.contains("datasets/plain/train: intact, 1 shards, 1 batches, "), "{out}");

    // What is there already is left alone.
    let before = place.everything();
    assert_eq!(place.duel("data import plain.yaml").fine(), "datasets/plain/train\n");
    assert!(place.everything() == before);

    // And it can be trained on, at once.
    let yaml = "model: {goodfellow: {generator: {hidden: [8]}, discriminator: {maxout: [8]}}}\n\
                data: {images: {set: plain}}\nbatch: 10\nimages: 100\n";
    place.write("x.yaml", yaml);
    let said = place.duel("data prepare x.yaml");
    assert!(said.err.contains("datasets/plain/train: there already"), "{}", said.err);
    assert_eq!(said.fine(), "");
    place.duel("train x.yaml").fine();
}

#[test]
fn help_goes_to_stdout() {
    let place = Place::new(DUEL);
    let out = place.duel("--help").fine();
    for command in ["train", "resume", "sample", "report", "show", "data"] {
        assert!(out.contains(command), "{out}");
    }
    assert!(place.duel("--version").fine().starts_with("duel "));
}
