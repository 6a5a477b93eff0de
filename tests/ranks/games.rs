//! Experiments that are small enough for eight ranks on two cores.

use crate::reals::PICTURE;
use serde_json::{Value, json};
use train::{Data, Experiment};

/// Steps of each comparison.
pub const STEPS: u64 = 50;

/// Samples of a step: two for each of eight ranks.
const BATCH: usize = 16;

/// The networks of Goodfellow et al. 2014: maxout, dropout before each layer of D, momentum that rises.
/// All layers but the ends are of one size, so that buckets of the gradient are as well.
pub fn gan(more: &Value) -> Experiment {
    let momentum = json!({"from": 0.5, "to": 0.7, "over": 600});
    let sgd = json!({"sgd": {"rate": 0.05, "decay": 1.001, "momentum": momentum}});
    let model = json!({"goodfellow": {
        "generator": {"latent": 16, "hidden": [16, 16, 16], "init": 0.4},
        "discriminator": {"maxout": [16, 16, 16, 16], "pieces": 3, "init": 0.25},
    }});
    let settings = json!({
        "model": model,
        "data": {"images": {"set": "none", "flip": true}},
        "optimizer": {"generator": sgd, "discriminator": sgd},
        "ema": 0.9,
    });
    experiment(settings, more)
}

/// Batch norm in both networks, Adam, an average of G, pictures that are padded and mirrored. (It has no
/// dropout: D of `gan` has.)
pub fn dcgan(model: &Value, more: &Value) -> Experiment {
    let mut networks = json!({
        "image": 16, "channels": 3, "width": 4, "kernel": 4, "latent": 8, "init": 0.1,
    });
    put(&mut networks, model);
    let adam = json!({"adam": {"rate": 1e-3}});
    let settings = json!({
        "model": {"dcgan": networks},
        "data": {"images": {"set": "none", "flip": true, "pad": 2}},
        "optimizer": {"generator": adam, "discriminator": adam},
        "ema": 0.9,
    });
    experiment(settings, more)
}

/// Numbers from a normal distribution and two layers each: many steps in little time.
pub fn numbers(more: &Value) -> Experiment {
    let model = json!({"goodfellow": {
        "generator": {"latent": 2, "hidden": [8], "output": "linear", "init": 0.5},
        "discriminator": {"maxout": [8], "pieces": 2, "keep_input": 1, "init": 0.2},
    }});
    experiment(json!({"model": model, "data": {"gaussian": {"mean": 4}}}), more)
}

/// Settings as an experiment of [`STEPS`] iterations; what is left out has its default.
fn experiment(mut settings: Value, more: &Value) -> Experiment {
    settings["batch"] = BATCH.into();
    settings["images"] = 1.into();
    settings["seed"] = 5.into();
    put(&mut settings, more);
    let mut spec: Experiment = serde_json::from_value(settings).expect("settings have their types");
    if more.get("images").is_none() {
        spec.images.0 = STEPS * spec.images_per_iteration();
    }
    spec.check(BATCH / 2).expect("eight ranks can play it");
    spec
}

fn put(settings: &mut Value, more: &Value) {
    for (key, value) in more.as_object().expect("settings are a map") {
        settings[key] = value.clone();
    }
}

/// Extents of the samples that networks see.
pub fn sample(spec: &Experiment) -> [usize; 3] {
    let [h, w, c] = PICTURE;
    match spec.data {
        Data::Images { pad, .. } => [h + 2 * pad, w + 2 * pad, c],
        Data::Gaussian { .. } => [1, 1, 1],
    }
}
