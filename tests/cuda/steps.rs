//! Whole steps of both networks, from the same state on a GPU and on cores in f64.
//!
//! Plain gradient descent at rate 1 writes the gradients into the parameters, so what is compared is every
//! gradient, every statistic and every loss. (Adam's first step is the sign of a gradient, which says
//! nothing of its size and everything of its rounding.)

use crate::parity::{ALL, bound, device, reals};
use cuda::Precision;
use serde_json::{Value, json};
use tape::{Clock, Device, Dtype, Options};
use tests::{Pixels, experiment};
use train::Recorded;

const BATCH: usize = 6;

/// The recorded programs of a pair of networks.
fn recorded(model: Value, sample: [usize; 3], schedule: &str, objective: Value) -> Recorded {
    let sgd = json!({"sgd": {"rate": 1.0, "momentum": 0.0}});
    let spec = experiment(json!({
        "model": model, "objective": objective, "schedule": schedule, "batch": BATCH, "ema": 0.5,
        "optimizer": {"generator": sgd, "discriminator": sgd},
    }));
    Recorded::new(&spec, sample, Dtype::U8, 1)
}

fn dcgan(extra: Value) -> (Value, [usize; 3]) {
    let mut model = json!({"dcgan": {
        "image": 16, "channels": 3, "width": 16, "kernel": 4, "latent": 10,
    }});
    for (key, value) in extra.as_object().expect("a map") {
        model["dcgan"][key] = value.clone();
    }
    (model, [16, 16, 3])
}

fn goodfellow() -> (Value, [usize; 3]) {
    let model = json!({"goodfellow": {
        "generator": {"latent": 10, "hidden": [40, 36]},
        "discriminator": {"maxout": [24, 20], "pieces": 5},
    }});
    (model, [12, 12, 1])
}

/// One D step and one G step from a state; returns the state behind them by name.
fn play(
    device: &mut dyn Device,
    recorded: &Recorded,
    options: &Options,
    first: &[(String, Vec<f64>)],
) -> Vec<(String, Vec<f64>)> {
    let tape = &recorded.tape;
    device.load(tape, options).expect("the tape loads");
    let real = device.real_bytes();
    for ((name, t), (same, values)) in tape.saved().into_iter().zip(first) {
        assert_eq!(name, *same, "state has an order");
        let bytes: Vec<u8> = match real {
            4 => values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        device.write(t, &bytes).expect("state can be written");
    }
    let mut pixels = vec![0; tape.shape(recorded.real).len()];
    Pixels::new(recorded.gan.sample).fill(&mut pixels);
    device.write(recorded.real, &pixels).expect("a batch");
    let scalars = tape.scalars().iter().map(|name| scalar(name)).collect();
    let mut clock = Clock { seed: 7, tick: 1, rank: 0, scalars, check: false };
    let steps = recorded.steps;
    for program in [Some(steps.discriminator), steps.generator].into_iter().flatten() {
        clock.tick += 1;
        device.run(program, &clock).expect("the step runs");
    }
    read(device, recorded)
}

/// Every state tensor by its name.
fn read(device: &mut dyn Device, recorded: &Recorded) -> Vec<(String, Vec<f64>)> {
    let real = device.real_bytes();
    let saved = recorded.tape.saved().into_iter();
    saved
        .map(|(name, t)| {
            let mut bytes = vec![0; recorded.tape.shape(t).len() * real];
            device.read(t, &mut bytes).expect("state can be read");
            (name, reals(&bytes, real))
        })
        .collect()
}

/// A rate of 1, no momentum, an average that moves half the way.
fn scalar(name: &str) -> f64 {
    match name {
        name if name.contains("momentum") => 0.0,
        name if name.contains("decay") || name.contains("ema") => 0.5,
        _ => 1.0,
    }
}

fn compare(what: &str, (model, sample): (Value, [usize; 3]), schedule: &str, objective: Value) {
    let recorded = recorded(model, sample, schedule, objective);
    for precision in ALL {
        let Some(mut gpu) = device(precision, true) else { return };
        let mut cores = cpu::device(cpu::pool(1).expect("a thread"), 8);
        // Both start from the first state of the cores, rounded to f32.
        let options = Options::default();
        let mut first = start(&mut *cores, &recorded, &options);
        for (_, values) in &mut first {
            values.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        }
        let exact = play(&mut *cores, &recorded, &options, &first);
        let found = play(&mut gpu, &recorded, &precision.options(), &first);
        let worst = worst(&exact, &found, &first);
        println!("parity steps_{what} {} {:.1e}", precision.name(), worst.0);
        assert!(worst.0 <= whole(precision), "{what} in {}: {worst:?}", precision.name());
    }
}

/// A step is some twenty operations deep, and batch norm divides by what it subtracted from: errors of
/// single operations come out several times as large.
fn whole(precision: Precision) -> f64 {
    4.0 * bound(precision)
}

/// The state that `init` leaves.
fn start(
    device: &mut dyn Device,
    recorded: &Recorded,
    options: &Options,
) -> Vec<(String, Vec<f64>)> {
    device.load(&recorded.tape, options).expect("the tape loads");
    let scalars = vec![0.0; recorded.tape.scalars().len()];
    let clock = Clock { seed: 7, tick: 1, rank: 0, scalars, check: false };
    device.run(recorded.init, &clock).expect("it starts");
    read(device, recorded)
}

/// The largest difference of a tensor's change, as a share of its largest change, and whose it is.
fn worst(
    exact: &[(String, Vec<f64>)],
    found: &[(String, Vec<f64>)],
    first: &[(String, Vec<f64>)],
) -> (f64, String) {
    let mut worst = (0.0, String::new());
    for (((name, exact), (_, found)), (_, first)) in exact.iter().zip(found).zip(first) {
        let changes = exact.iter().zip(first).map(|(x, before)| (x - before).abs());
        let scale = changes.fold(1e-30, f64::max);
        for (x, y) in exact.iter().zip(found) {
            let apart = (x - y).abs() / scale;
            if apart.is_nan() || apart > worst.0 {
                worst = (if apart.is_nan() { f64::INFINITY } else { apart }, name.clone());
            }
        }
    }
    worst
}

#[test]
fn dcgan_by_algorithm1() {
    compare("dcgan", dcgan(json!({})), "algorithm1", json!("non_saturating"));
}

#[test]
fn dcgan_with_shared_fakes() {
    let kernel5 = dcgan(json!({"kernel": 5}));
    compare("dcgan_shared_fakes", kernel5, "shared_fakes", json!("non_saturating"));
}

/// Pooling, upsampling, a hidden layer, other activations.
#[test]
fn dcgan_without_its_guidelines() {
    let other = json!({
        "down": "max_pool", "up": "nearest", "hidden_fc": 24, "activation_g": "tanh",
        "activation_d": "maxout", "norm_ends": true,
    });
    compare("dcgan_guidelines", dcgan(other), "algorithm1", json!("least_squares"));
}

/// Second derivatives.
#[test]
fn dcgan_with_gradient_penalty() {
    let plain = dcgan(json!({"norm_d": "none"}));
    compare("dcgan_penalty", plain, "algorithm1", json!({"wasserstein": {"penalty": 10}}));
}

/// Maxout, dropout, biases, both players at once.
#[test]
fn goodfellow_simultaneously() {
    compare("goodfellow", goodfellow(), "simultaneous", json!("minimax"));
}
