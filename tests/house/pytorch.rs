//! Training steps against PyTorch's numbers: the files of `tests/golden`, each made and explained by the
//! script beside it.
//!
//! The whole recorded programs run, on a tape that is fed PyTorch's noise. Gradients are read where
//! the update leaves them: in Adam's first moment, (1 − β₁) g with β₁ = ½, or in the velocity of
//! gradient descent at rate 1, −g.

use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tape::Tape;
use tests::{Stage, experiment};

/// ‖a − b‖ / ‖b‖ that is allowed in f32. PyTorch's own f32 run is within 1e-6 of its f64 run; a
/// hundredfold is left to other orders of summation.
const F32: f64 = 1e-4;
/// The same in f64: the file is rounded to f32, 6e-8 an element.
const F64: f64 = 2e-7;

/// The golden file: bytes as such, numbers as f64.
struct Golden(BTreeMap<String, Vec<f64>>);

impl Golden {
    fn read() -> Self {
        Self::of("dcgan_step.safetensors")
    }

    fn of(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
        let file = std::fs::read(path).expect("the golden file is there");
        let tensors = SafeTensors::deserialize(&file).expect("the golden file is whole");
        let numbers = |name: &str| {
            let tensor = tensors.tensor(name).expect("listed");
            let values = match tensor.dtype() {
                Dtype::U8 => tensor.data().iter().map(|&b| f64::from(b)).collect(),
                _ => {
                    let words = tensor.data().chunks_exact(4);
                    words
                        .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")).into())
                        .collect()
                }
            };
            (name.to_string(), values)
        };
        Self(tensors.names().iter().map(|name| numbers(name)).collect())
    }

    fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("the golden file has no `{name}`"))
    }

    /// Tensors whose names begin like this, with the rest of their names in our words.
    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, &'a [f64])> {
        self.0.iter().filter_map(move |(name, values)| {
            let rest = name.strip_prefix(prefix)?;
            let (player, rest) = rest.split_once('.')?;
            let player = if player == "g" { "generator" } else { "discriminator" };
            Some((format!("{player}.{rest}"), &values[..]))
        })
    }
}

fn norm(x: impl Iterator<Item = f64>) -> f64 {
    x.map(|x| x * x).sum::<f64>().sqrt()
}

/// ‖ours − theirs‖ / ‖theirs‖
fn distance(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    norm(ours.iter().zip(theirs).map(|(a, b)| a - b)) / norm(theirs.iter().copied())
}

/// Compares by name and remembers the worst.
struct Comparison {
    allowed: f64,
    worst: (f64, String),
}

impl Comparison {
    fn new(allowed: f64) -> Self {
        Self { allowed, worst: (0.0, String::new()) }
    }

    fn compare(&mut self, name: &str, ours: &[f64], theirs: &[f64]) {
        let off = distance(ours, theirs);
        assert!(off <= self.allowed, "`{name}` is off by {off:e}, of {:e}", self.allowed);
        if off >= self.worst.0 {
            self.worst = (off, name.to_string());
        }
    }
}

/// The part of a network's flat buffer where a parameter lies.
fn part(stage: &mut Stage, buffer: &str, parameter: &str) -> Vec<f64> {
    let t = stage.tensor(parameter);
    let tape::Home::Within { offset, .. } = stage.recorded.tape.tensor(t).home else {
        panic!("`{parameter}` is no parameter");
    };
    let len = stage.recorded.tape.shape(t).len();
    stage.read(buffer)[offset..][..len].to_vec()
}

fn write_init(stage: &mut Stage, golden: &Golden, prefix: &str) {
    for (name, values) in golden.under(prefix) {
        let named = |t: &tape::T| stage.recorded.tape.tensor(*t).name.as_deref() == Some(&name);
        // The critic of the penalty has no norm.
        if stage.recorded.tape.all().iter().any(named) {
            stage.write(&name, values);
        }
    }
}

fn dcgan(settings: Value) -> Value {
    let mut model = json!({
        "image": 16, "channels": 3, "latent": 16, "noise": "normal", "width": 16, "kernel": 4
    });
    for (key, value) in settings.as_object().expect("a map") {
        model[key] = value.clone();
    }
    json!({ "dcgan": model })
}

/// Weights near 1 hide their step of 2e-4: f32 rounds a gain by 6e-8, once before and once after.
/// f32 therefore knows `next − init` to 6e-8 · √2 / 2e-4 = 4e-4, and so does the file.
const STEP: f64 = 1e-3;

fn whole_step(real: usize, allowed: f64) {
    let golden = Golden::read();
    let adam = json!({"adam": {"rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}});
    let spec = experiment(json!({
        "model": dcgan(json!({})),
        "schedule": "shared_fakes",
        "objective": "non_saturating",
        "optimizer": {"generator": adam, "discriminator": adam},
        "batch": 8,
    }));
    let mut stage = Stage::new(Tape::fed(), &spec, [16, 16, 3], tape::Dtype::U8, real);
    stage.bench.run(stage.recorded.init);
    write_init(&mut stage, &golden, "init.");
    stage.write("noise.0", golden.get("noise"));
    let pixels: Vec<u8> = golden.get("real").iter().map(|&x| x as u8).collect();
    stage.bench.write_bytes(stage.recorded.real, &pixels);
    for player in ["generator", "discriminator"] {
        stage.scalar(&format!("{player}.rate"), 2e-4);
        stage.scalar(&format!("{player}.correction1"), 1.0 - 0.5);
        stage.scalar(&format!("{player}.correction2"), 1.0 - 0.999);
    }
    stage.bench.run(stage.recorded.steps.discriminator);

    let mut all = Comparison::new(allowed);
    let report = stage.read("report.discriminator");
    for (at, name) in ["loss_d", "d_real", "d_fake"].into_iter().enumerate() {
        all.compare(name, &report[at..=at], golden.get(name));
    }
    all.compare("loss_g", &stage.read("report.generator"), golden.get("loss_g"));
    for (name, theirs) in golden.under("grad.") {
        let player = name.split('.').next().expect("a player");
        let moment = part(&mut stage, &format!("optimizer.{player}.moment1"), &name);
        let ours: Vec<f64> = moment.iter().map(|m| 2.0 * m).collect();
        all.compare(&format!("gradient of {name}"), &ours, theirs);
    }
    let mut steps = Comparison::new(STEP);
    let init: BTreeMap<String, &[f64]> = golden.under("init.").collect();
    for (name, theirs) in golden.under("next.") {
        let ours = stage.read(&name);
        all.compare(&format!("next {name}"), &ours, theirs);
        let moved = |next: &[f64]| -> Vec<f64> {
            next.iter().zip(init[&name]).map(|(next, init)| next - init).collect()
        };
        steps.compare(&format!("step of {name}"), &moved(&ours), &moved(theirs));
    }
    for layer in ["g.0", "g.1", "d.1"] {
        let ours = layer.replace("g.", "generator.").replace("d.", "discriminator.");
        let running = stage.read(&format!("{ours}.running"));
        let (mean, variance) = running.split_at(running.len() / 2);
        let theirs = |statistic: &str| golden.get(&format!("running.{layer}.{statistic}"));
        all.compare(&format!("running mean of {ours}"), mean, theirs("mean"));
        all.compare(&format!("running variance of {ours}"), variance, theirs("var"));
    }
    println!("{real} bytes: {:?}, {:?}", all.worst, steps.worst);
}

#[test]
fn a_step_of_dcgan_in_f32() {
    whole_step(4, F32);
}

#[test]
fn a_step_of_dcgan_in_f64() {
    whole_step(8, F64);
}

/// One step of plain gradient descent at rate 1, so that the velocity is −g.
fn unit_descent() -> Value {
    let sgd = json!({"sgd": {"rate": 1.0, "momentum": 0.0}});
    json!({"generator": sgd, "discriminator": sgd})
}

fn compare_velocity(stage: &mut Stage, all: &mut Comparison, name: &str, theirs: &[f64]) {
    let player = name.split('.').next().expect("a player");
    let velocity = part(stage, &format!("optimizer.{player}.velocity"), name);
    let ours: Vec<f64> = velocity.iter().map(|v| -v).collect();
    all.compare(&format!("gradient of {name}"), &ours, theirs);
}

/// Second order: the gradient of a penalty on a gradient.
#[test]
fn the_gradient_penalty() {
    let golden = Golden::read();
    let spec = experiment(json!({
        "model": dcgan(json!({"norm_d": "none"})),
        "objective": {"wasserstein": {"penalty": 10}},
        "optimizer": unit_descent(),
        "batch": 8,
    }));
    for (real, allowed) in [(4, F32), (8, F64)] {
        let mut stage = Stage::new(Tape::fed(), &spec, [16, 16, 3], tape::Dtype::U8, real);
        stage.bench.run(stage.recorded.init);
        write_init(&mut stage, &golden, "init.");
        stage.write("noise.0", golden.get("noise"));
        stage.write("noise.1", golden.get("gp.epsilon"));
        let pixels: Vec<u8> = golden.get("real").iter().map(|&x| x as u8).collect();
        stage.bench.write_bytes(stage.recorded.real, &pixels);
        stage.scalar("discriminator.rate", 1.0);
        stage.bench.run(stage.recorded.steps.discriminator);

        let mut all = Comparison::new(allowed);
        all.compare("loss", &stage.read("report.discriminator")[..1], golden.get("gp.loss"));
        for (name, theirs) in golden.under("gp.grad.") {
            compare_velocity(&mut stage, &mut all, &name, theirs);
        }
        println!("{real} bytes: {:?}", all.worst);
    }
}

/// The gradients of both players where every guideline of DCGAN that changes an operation is dropped.
#[test]
fn a_dcgan_without_its_guidelines() {
    let golden = Golden::of("pooled_step.safetensors");
    let spec = experiment(json!({
        "model": dcgan(json!({
            "latent": 6, "width": 4, "down": "max_pool", "up": "nearest", "norm_ends": true,
            "hidden_fc": 10, "activation_g": "leaky_relu", "output": "sigmoid",
            "activation_d": "maxout", "pieces": 2,
        })),
        "optimizer": unit_descent(),
        "batch": 8,
    }));
    let pixels: Vec<u8> = golden.get("real").iter().map(|&x| x as u8).collect();
    for (real, allowed) in [(4, F32), (8, F64)] {
        let mut stage = Stage::new(Tape::fed(), &spec, [16, 16, 3], tape::Dtype::U8, real);
        stage.bench.run(stage.recorded.init);
        stage.bench.write_bytes(stage.recorded.real, &pixels);
        stage.write("noise.0", golden.get("noise"));
        stage.write("noise.1", golden.get("noise"));
        stage.scalar("generator.rate", 1.0);
        stage.scalar("discriminator.rate", 1.0);
        for step in [stage.recorded.steps.discriminator, stage.generator_step()] {
            write_init(&mut stage, &golden, "init.");
            stage.bench.run(step);
        }
        let mut all = Comparison::new(allowed);
        let loss = stage.read("report.discriminator")[0];
        all.compare("loss_d", &[loss], golden.get("loss_d"));
        all.compare("loss_g", &stage.read("report.generator"), golden.get("loss_g"));
        assert_eq!(golden.under("grad.").count(), 8 + 2 * 7, "8 weights, 7 norms");
        for (name, theirs) in golden.under("grad.") {
            compare_velocity(&mut stage, &mut all, &name, theirs);
        }
        println!("{real} bytes: {:?}", all.worst);
    }
}

/// The networks of 2014 at the point of the golden file, with its samples and its z.
fn goodfellow(golden: &Golden, settings: Value, real: usize) -> Stage {
    let mut json = json!({
        "model": {"goodfellow": {
            "generator": {"latent": 5, "noise": "normal", "range": 1, "hidden": [10]},
            "discriminator": {"maxout": [6, 4], "pieces": 3, "keep_input": 1, "keep_hidden": 1},
        }},
        "optimizer": unit_descent(),
        "batch": 8,
    });
    for (key, value) in settings.as_object().expect("a map") {
        json[key] = value.clone();
    }
    let spec = experiment(json);
    let mut stage = Stage::new(Tape::fed(), &spec, [1, 12, 1], tape::Dtype::F32, real);
    stage.bench.run(stage.recorded.init);
    let samples = golden.get("goodfellow.real").iter();
    let samples: Vec<u8> = samples.flat_map(|&x| (x as f32).to_le_bytes()).collect();
    stage.bench.write_bytes(stage.recorded.real, &samples);
    stage.write("noise.0", golden.get("goodfellow.noise"));
    stage.scalar("generator.rate", 1.0);
    stage.scalar("discriminator.rate", 1.0);
    write_init(&mut stage, golden, "goodfellow.init.");
    stage
}

/// Losses, answers and gradients that the golden file has under a name.
fn compare_game(stage: &mut Stage, golden: &Golden, name: &str, allowed: f64) {
    let mut all = Comparison::new(allowed);
    let report = stage.read("report.discriminator");
    for (at, quantity) in ["loss_d", "d_real", "d_fake"].into_iter().enumerate() {
        all.compare(quantity, &report[at..=at], golden.get(&format!("{name}.{quantity}")));
    }
    all.compare("loss_g", &stage.read("report.generator"), golden.get(&format!("{name}.loss_g")));
    for (parameter, theirs) in golden.under(&format!("{name}.grad.")) {
        compare_velocity(stage, &mut all, &parameter, theirs);
    }
    println!("{name}: {:?}", all.worst);
}

/// The minimax gradients of both players of 2014, at the same point.
#[test]
fn a_step_of_goodfellow() {
    let golden = Golden::read();
    for (real, allowed) in [(4, F32), (8, F64)] {
        let mut stage = goodfellow(&golden, json!({"objective": "minimax"}), real);
        stage.write("noise.1", golden.get("goodfellow.noise"));
        for step in [stage.recorded.steps.discriminator, stage.generator_step()] {
            write_init(&mut stage, &golden, "goodfellow.init.");
            stage.bench.run(step);
        }
        compare_game(&mut stage, &golden, "goodfellow", allowed);
    }
}

/// The same in one simultaneous step, and in the other games.
#[test]
fn simultaneous_steps_of_other_games() {
    let golden = Golden::read();
    for (name, objective) in [
        ("goodfellow", json!("minimax")),
        ("least_squares", json!("least_squares")),
        ("hinge", json!("hinge")),
        ("relativistic", json!({"relativistic": {"penalty": 0.5}})),
    ] {
        for (real, allowed) in [(4, F32), (8, F64)] {
            let settings = json!({"objective": objective, "schedule": "simultaneous"});
            let mut stage = goodfellow(&golden, settings, real);
            stage.bench.run(stage.recorded.steps.discriminator);
            compare_game(&mut stage, &golden, name, allowed);
            if name != "goodfellow" {
                let value = stage.read("report.discriminator")[3];
                let theirs = golden.get(&format!("{name}.value"));
                assert!(distance(&[value], theirs) < allowed, "{name}: V is {value}");
            }
        }
    }
}
