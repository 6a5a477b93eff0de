//! The networks that are measured, and a data set and experiment for training.

use crate::stages::Failed;
use data::{Description, Writer};
use serde_json::{Value, json};
use std::path::Path;
use tape::philox;
use train::{Count, Experiment};

/// A DCGAN and its batch, trained with `shared_fakes`.
#[derive(Clone, Copy)]
pub struct Network {
    pub name: &'static str,
    pub side: usize,
    pub channels: usize,
    pub width: usize,
    pub kernel: usize,
    pub batch: usize,
}

/// The PyTorch example's, with the paper's batch.
pub const EXAMPLE: Network =
    Network { name: "example", side: 64, channels: 3, width: 64, kernel: 4, batch: 128 };
/// The paper's.
pub const PAPER: Network =
    Network { name: "paper", side: 64, channels: 3, width: 128, kernel: 5, batch: 128 };
/// To check this program with.
pub const TOY: Network =
    Network { name: "toy", side: 16, channels: 3, width: 4, kernel: 4, batch: 4 };

impl Network {
    /// As an experiment of Duel.
    pub fn experiment(&self) -> Experiment {
        let Self { side, channels, width, kernel, batch, .. } = *self;
        serde_json::from_value(json!({
            "model": { "dcgan": {
                "image": side, "channels": channels, "width": width, "kernel": kernel, "noise": "normal",
            } },
            "data": { "images": { "set": "noise" } },
            "schedule": "shared_fakes",
            "batch": batch,
            "images": Count(1 << 20),
        }))
        .expect("the experiment is good")
    }

    /// As PyTorch's side takes it.
    pub fn json(&self) -> Value {
        let Self { side, channels, width, kernel, batch, .. } = *self;
        json!({"side": side, "channels": channels, "width": width, "kernel": kernel, "batch": batch})
    }
}

/// What is trained: a small DCGAN on light spots.
pub const SPOTS: &str = "
model: {dcgan: {image: 32, channels: 3, latent: 16, width: 16, kernel: 4}}
data: {images: {set: spots}}
batch: 64
images: 1280
";
/// Images of the data set.
const IMAGES: usize = 1024;
const SIDE: usize = 32;

/// Writes the data set `spots`: one light spot on dark ground each, of its own place and size.
pub fn spots(datasets: &Path) -> Result<(), Failed> {
    let out = datasets.join("spots/train");
    if out.exists() {
        return Ok(());
    }
    let about = Description::new("spots", "train", "gpu-check", [SIDE, SIDE, 3]);
    let about = Description { rows_per_shard: 256, rows_per_batch: 64, ..about };
    let mut writer = Writer::create(&out, about)?;
    for i in 0..IMAGES {
        writer.push(&spot(i as u64), 0, &i.to_string())?;
    }
    writer.finish(Vec::new())?;
    Ok(())
}

fn spot(i: u64) -> Vec<u8> {
    let [x, y, size, light] = philox::block(1, 0, i, 0, 0).map(philox::uniform24).map(f64::from);
    let side = SIDE as f64;
    let (x, y) = (side * (0.25 + 0.5 * x), side * (0.25 + 0.5 * y));
    let (radius, light) = (side * (0.06 + 0.1 * size), 140.0 + 100.0 * light);
    let pixel = |at: usize| {
        let [px, py] = [at % SIDE, at / SIDE].map(|p| p as f64 + 0.5);
        let squared = (px - x).powi(2) + (py - y).powi(2);
        (10.0 + light * (-squared / (2.0 * radius * radius)).exp()) as u8
    };
    (0..SIDE * SIDE).flat_map(|at| [pixel(at); 3]).collect()
}
