//! Whole steps of both networks, each from the same state on a GPU and on cores in f64.
//!
//! Plain gradient descent at rate 1 writes the gradients into the parameters, so what is compared is every
//! gradient, every statistic and every loss: the norm of the difference over the norm of the change. (A
//! largest element would be one whose activation changed side by a rounding; Adam's first step is the
//! sign of a gradient, which says nothing of its size.)

use crate::parity::{ALL, bound, device, reals};
use cuda::Precision;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tape::{Clock, Device, Dtype, Options, Program};
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

/// One step from a state; returns the state behind it by name.
fn play(
    device: &mut dyn Device,
    recorded: &Recorded,
    program: Program,
    first: &[(String, Vec<f64>)],
) -> Vec<(String, Vec<f64>)> {
    let tape = &recorded.tape;
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
    let clock = Clock { seed: 7, tick: 2, rank: 0, scalars, check: false };
    device.run(program, &clock).expect("the step runs");
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
    let steps = recorded.steps;
    let mut cores = cpu::device(cpu::pool(1).expect("a thread"), 8);
    let first = start(&mut *cores, &recorded);
    for precision in ALL {
        let Some(mut gpu) = device(precision, true) else { return };
        gpu.load(&recorded.tape, &precision.options()).expect("the tape loads");
        for program in [Some(steps.discriminator), steps.generator].into_iter().flatten() {
            let exact = play(&mut *cores, &recorded, program, &first);
            let found = play(&mut gpu, &recorded, program, &first);
            let worst = worst(&exact, &found, &first);
            println!("parity steps_{what} {} {:.1e} {}", precision.name(), worst.0, worst.1);
            assert!(worst.0 <= whole(precision), "{what} in {}: {worst:?}", precision.name());
        }
    }
}

/// Where products are rounded, a share of activations as large as the rounding changes side, and each is a
/// whole term of a gradient: the norm of the difference grows with the root of that share. In f32 hardly
/// one does; what is left are sums that cancel to a thousandth of their terms.
fn whole(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 5e-4,
        Precision::Tf32 | Precision::Bf16 => 2.0 * bound(precision).sqrt(),
    }
}

/// The state that `init` leaves, rounded to f32: both start from there.
fn start(device: &mut dyn Device, recorded: &Recorded) -> Vec<(String, Vec<f64>)> {
    device.load(&recorded.tape, &Options::default()).expect("the tape loads");
    let scalars = vec![0.0; recorded.tape.scalars().len()];
    let clock = Clock { seed: 7, tick: 1, rank: 0, scalars, check: false };
    device.run(recorded.init, &clock).expect("it starts");
    let mut state = read(device, recorded);
    for x in state.iter_mut().flat_map(|(_, values)| values) {
        *x = f64::from(*x as f32);
    }
    state
}

/// The largest difference of a tensor's change, as a share of the change, and whose it is.
///
/// What is stored is rounded to 24 bits, however small its change; and a change that is a hundredth of the
/// largest of its network is what is left of sums that cancel, so it is measured by that hundredth.
fn worst(
    exact: &[(String, Vec<f64>)],
    found: &[(String, Vec<f64>)],
    first: &[(String, Vec<f64>)],
) -> (f64, String) {
    let apart =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    let network = |name: &str| name.split('.').next().unwrap_or_default().to_string();
    let mut largest: BTreeMap<String, f64> = BTreeMap::new();
    for ((name, exact), (_, first)) in exact.iter().zip(first) {
        let largest = largest.entry(network(name)).or_default();
        *largest = largest.max(apart(exact, first));
    }
    let mut worst = (0.0, String::new());
    for (((name, exact), (_, found)), (_, first)) in exact.iter().zip(found).zip(first) {
        let rounding = exact.iter().map(|x| x * x).sum::<f64>().sqrt() * 2.0_f64.powi(-23);
        let scale = apart(exact, first).max(largest[&network(name)] / 100.0).max(1e-30);
        let error = (apart(exact, found) - rounding) / scale;
        if error.is_nan() || error > worst.0 {
            worst = (if error.is_nan() { f64::INFINITY } else { error }, name.clone());
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
