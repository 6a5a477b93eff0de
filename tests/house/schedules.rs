//! When the players move: through which D, both or neither, and where that leads near the point of rest.

use serde_json::{Value, json};
use tape::{Dtype, Tape};
use tests::{Stage, experiment};

/// Small networks without dropout, fed noise, on numbers; D is linear without hidden layers.
fn stage(schedule: &str, objective: Value, [g, d]: [&[usize]; 2], sample: usize) -> Stage {
    let sgd = json!({"sgd": {"rate": 1.0, "momentum": 0.0}});
    let spec = experiment(json!({
        "model": {"goodfellow": {
            "generator": {"latent": 3, "noise": "normal", "range": 1, "hidden": g, "output": "linear", "init": 0.5},
            "discriminator": {"maxout": d, "pieces": 2, "keep_input": 1, "keep_hidden": 1, "init": 0.5},
        }},
        "data": {"gaussian": {}},
        "schedule": schedule,
        "objective": objective,
        "optimizer": {"generator": sgd, "discriminator": sgd},
        "ema": 0.9,
        "batch": 4,
    }));
    let mut stage = Stage::new(Tape::fed(), &spec, [1, sample, 1], Dtype::F32, 8);
    stage.bench.run(stage.recorded.init);
    stage
}

fn write_real(stage: &mut Stage, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    stage.bench.write_bytes(stage.recorded.real, &bytes);
}

/// −g of both players, always from the same point with the same z.
fn slopes(schedule: &str, objective: &str, rate_d: f64) -> [Vec<f64>; 2] {
    let mut stage = stage(schedule, json!(objective), [&[5], &[6, 4]], 2);
    write_real(&mut stage, &[0.1, -0.4, 1.0, 0.7, -0.2, 0.5, 0.0, 0.3]);
    let z: Vec<f64> = (0..12).map(|i| f64::from(i * 7 % 12) / 6.0 - 1.0).collect();
    stage.write("noise.0", &z);
    if schedule == "algorithm1" {
        stage.write("noise.1", &z);
    }
    stage.scalar("discriminator.rate", rate_d);
    stage.scalar("generator.rate", 1.0);
    let steps = stage.recorded.steps;
    for program in [Some(steps.discriminator), steps.generator].into_iter().flatten() {
        stage.bench.run(program);
    }
    ["generator", "discriminator"].map(|p| stage.read(&format!("optimizer.{p}.velocity")))
}

/// ‖a − b‖ / ‖b‖
fn off(a: &[f64], b: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied())
}

/// The 2014 code takes G's gradient through the D that has not moved.
#[test]
fn simultaneous_steps_go_through_the_old_d() {
    for objective in ["non_saturating", "least_squares"] {
        let [frozen, _] = slopes("algorithm1", objective, 0.0);
        let [moved, of_d] = slopes("algorithm1", objective, 1.0);
        let [at_once, of_d_at_once] = slopes("simultaneous", objective, 1.0);
        let [shared, _] = slopes("shared_fakes", objective, 1.0);
        // Rounding of other sums in f64, and no more.
        assert!(off(&of_d_at_once, &of_d) < 1e-12);
        assert!(off(&at_once, &frozen) < 1e-12, "{objective}: {}", off(&at_once, &frozen));
        assert!(off(&shared, &moved) < 1e-12, "{objective}: {}", off(&shared, &moved));
        assert!(off(&moved, &frozen) > 1e-2, "{objective}: D's step makes no difference");
    }
}

/// One guard stands before both: a slope of D that is not finite holds G and its average back as well.
#[test]
fn neither_moves_where_one_cannot() {
    let mut stage = stage("simultaneous", json!("non_saturating"), [&[5], &[6]], 1);
    stage.write("noise.0", &[0.5; 12]);
    for player in ["generator", "discriminator"] {
        stage.scalar(&format!("{player}.rate"), 1.0);
    }
    let read = |stage: &mut Stage| {
        ["generator", "discriminator", "generator.ema"].map(|name| stage.read(name))
    };
    let before = read(&mut stage);
    write_real(&mut stage, &[0.0, 1.0, f32::NAN, 0.0]);
    stage.bench.run(stage.recorded.steps.discriminator);
    assert_eq!(stage.read("fault"), [2.0], "1 + the tick");
    assert_eq!(read(&mut stage), before);
    stage.write("fault", &[0.0]);
    write_real(&mut stage, &[0.0, 1.0, 0.5, 0.0]);
    stage.bench.run(stage.recorded.steps.discriminator);
    let after = read(&mut stage);
    assert!((0..3).all(|i| after[i] != before[i]));
}

/// The Dirac-GAN (Mescheder et al. 2018) played by whole steps: data at 0, z = 0, so that G is its bias
/// θ; D(x) is ψ x and a bias that stays of second order.
fn dirac(schedule: &str, steps: usize) -> Vec<f64> {
    let mut stage = stage(schedule, json!("minimax"), [&[], &[]], 1);
    write_real(&mut stage, &[0.0; 4]);
    stage.write("noise.0", &[0.0; 12]);
    if stage.recorded.steps.generator.is_some() {
        stage.write("noise.1", &[0.0; 12]);
    }
    stage.write("generator.0.bias", &[1e-3]);
    stage.write("discriminator.0.weight", &[0.0]);
    for player in ["generator", "discriminator"] {
        stage.scalar(&format!("{player}.rate"), 0.5);
    }
    let radius = |stage: &mut Stage| {
        let [theta, psi] = ["generator.0.bias", "discriminator.0.weight"].map(|n| stage.read(n)[0]);
        theta.hypot(psi) / 1e-3
    };
    let programs = [Some(stage.recorded.steps.discriminator), stage.recorded.steps.generator];
    let mut radii = Vec::new();
    for _ in 0..steps {
        programs.into_iter().flatten().for_each(|program| stage.bench.run(program));
        radii.push(radius(&mut stage));
    }
    radii
}

/// Away from the point of rest by √(1 + h²/4) a step, h = ½.
#[test]
fn the_simultaneous_schedule_spirals_outwards() {
    let radii = dirac("simultaneous", 100);
    let growth = radii[99].powf(0.01);
    println!("growth {growth}");
    assert!((growth - (1.0_f64 + 0.0625).sqrt()).abs() < 1e-5, "{growth}");
}

/// With a = h/2, a step of D and one of G keep θ² + ψ² − a θψ: an ellipse with half axes 1 / √(1 ± a/2).
#[test]
fn the_other_schedules_stay_on_an_ellipse() {
    for schedule in ["algorithm1", "shared_fakes"] {
        let radii = dirac(schedule, 2000);
        let least = radii.iter().copied().fold(f64::MAX, f64::min);
        let most = radii.iter().copied().fold(0.0, f64::max);
        println!("{schedule}: {least} to {most}");
        assert!((least - 1.125_f64.powf(-0.5)).abs() < 1e-4, "{schedule}: {least}");
        assert!((most - 0.875_f64.powf(-0.5)).abs() < 1e-4, "{schedule}: {most}");
    }
}
