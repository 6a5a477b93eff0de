//! The events of a run, read back: their frames by hand, and what is in them by TensorBoard itself.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::duel::Place;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

const EVENTS: &str = "tensorboard/events.out.tfevents.run";

/// The bytes of each record.
fn records(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = file;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().expect("eight")) as usize;
        records.push(&rest[12..12 + length]);
        rest = &rest[length + 16..];
    }
    records
}

/// Whether some record holds these bytes.
fn count(records: &[&[u8]], needle: &[u8]) -> usize {
    let holds = |record: &&&[u8]| record.windows(needle.len()).any(|window| window == needle);
    records.iter().filter(holds).count()
}

#[test]
fn a_record_for_each_report_and_each_grid() {
    let place = Place::furnished(DUEL);
    place.duel("train dcgan.yaml --out run").fine();
    let file = place.read(&format!("run/{EVENTS}"));
    let whole = records(&file);
    let (reports, grids) = (place.metrics("run").len(), place.files("run/samples"));
    // One more says what kind of file it is.
    assert_eq!(whole.len(), 1 + reports + grids.len());
    assert_eq!((count(&whole, b"loss/d"), count(&whole, b"d/fake")), (reports, reports));
    for (name, png) in &grids {
        assert_eq!(count(&whole, png), 1, "{name}");
    }

    // The second half is lost, with half a record, and made again: nothing is there twice.
    for images in [720, 960] {
        fs::remove_file(place.path(&format!("run/checkpoints/{images:012}.safetensors")))
            .expect("a checkpoint");
    }
    let mut torn = file.clone();
    torn.truncate(file.len() - 100);
    place.write(&format!("run/{EVENTS}"), torn);
    place.duel("resume run").fine();
    let again = place.read(&format!("run/{EVENTS}"));
    let again = records(&again);
    assert_eq!(again.len(), whole.len());
    assert_eq!(count(&again, b"loss/d"), reports);
    for (name, png) in &grids {
        assert_eq!(count(&again, png), 1, "{name}");
    }
    let files: Vec<String> = place.files("run/tensorboard").into_keys().collect();
    assert_eq!(files, ["events.out.tfevents.run"]);
}

/// A Python that has TensorBoard, if `make test` could set one up.
fn reader() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/readers");
    let wanted = std::env::var("DUEL_READERS").ok();
    let folder = match wanted.as_deref() {
        None | Some("required") => target,
        Some(folder) => folder.into(),
    };
    let python = folder.join("bin/python");
    let there = python.is_file();
    assert!(there || wanted.as_deref() != Some("required"), "no {}", python.display());
    if !there {
        eprintln!("no {}: TensorBoard was not asked", python.display());
    }
    there.then_some(python)
}

#[test]
fn tensorboard_reads_what_the_log_says() {
    let Some(python) = reader() else { return };
    let place = Place::furnished(DUEL);
    place.duel("train dcgan.yaml --out run").fine();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/tensorboard_events.py");
    let output = Command::new(python).arg(script).arg(place.path("run/tensorboard")).output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let text = place.text("run/metrics.jsonl");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut seconds = 0.0;
    let mut before = 0.0;
    for (i, line) in lines.iter().enumerate() {
        let images = line["images"].as_f64().expect("a count");
        seconds += (images - before) / line["images_per_second"].as_f64().expect("a figure");
        before = images;
        for (key, tag) in [
            ("loss_d", "loss/d"),
            ("loss_g", "loss/g"),
            ("value", "value"),
            ("d_real", "d/real"),
            ("d_fake", "d/fake"),
            ("images_per_second", "images_per_second"),
            ("data_wait", "data_wait"),
        ] {
            let point = &read["scalars"][tag][i];
            assert_eq!(point[0].as_f64(), Some(images), "{tag}");
            // TensorBoard keeps 32 bits of a figure.
            let figure = line[key].as_f64().expect("a figure") as f32;
            assert_eq!(point[1].as_f64(), Some(f64::from(figure)), "{tag}");
            assert_eq!(point[2].as_f64(), Some(seconds), "{tag}");
        }
    }
    assert_eq!(read["scalars"]["value"].as_array().map(Vec::len), Some(lines.len()));

    let grids = place.files("run/samples");
    assert_eq!(read["images"]["samples"].as_array().map(Vec::len), Some(grids.len()));
    for (i, (name, png)) in grids.iter().enumerate() {
        let image = &read["images"]["samples"][i];
        let hex: String = png.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(name, &format!("{:012}.png", image[0].as_u64().expect("a step")));
        assert_eq!(image[3].as_str(), Some(hex.as_str()), "{name}");
        let picture = image::load_from_memory(png).expect("a PNG");
        assert_eq!([&image[1], &image[2]], [picture.width(), picture.height()]);
    }
}
