//! Whole steps: the recorded loss of each player against differences of itself along random
//! directions through all of the player's parameters, in f64; and what a step does not compute.
//!
//! The real programs run. Plain gradient descent at rate 1 leaves −g in the velocity, the report holds
//! the loss, and noise and dropout are the same in every run of one tick.

use serde_json::{Value, json};
use tape::{Dtype, Options, Program, Tape, philox};
use tests::gradient::against_differences;
use tests::{Pixels, Stage, experiment};

/// As for single operations: differences in f64 are good to about 1e-9.
const FIRST: f64 = 1e-6;
const SECOND: f64 = 1e-5;

fn dcgan(kernel: usize, norm_d: &str) -> (Value, [usize; 3]) {
    let model = json!({"dcgan": {
        "image": 16, "channels": 3, "width": 4, "kernel": kernel, "latent": 6, "norm_d": norm_d,
    }});
    (model, [16, 16, 3])
}

/// The networks above with one guideline of section 3 dropped.
fn without(settings: Value) -> (Value, [usize; 3]) {
    let (mut model, sample) = dcgan(4, "batch");
    for (key, value) in settings.as_object().expect("settings are a map") {
        model["dcgan"][key] = value.clone();
    }
    (model, sample)
}

fn goodfellow() -> (Value, [usize; 3]) {
    let model = json!({"goodfellow": {
        "generator": {"latent": 6, "hidden": [12, 10]},
        "discriminator": {"maxout": [9, 7], "pieces": 3},
    }});
    (model, [5, 5, 1])
}

fn stage((model, sample): (Value, [usize; 3]), objective: Value, schedule: &str) -> Stage {
    let sgd = json!({"sgd": {"rate": 1.0, "momentum": 0.0}});
    let spec = experiment(json!({
        "model": model,
        "objective": objective,
        "schedule": schedule,
        "optimizer": {"generator": sgd, "discriminator": sgd},
        "batch": 5,
    }));
    let mut stage = Stage::new(Tape::new(1), &spec, sample, Dtype::U8, 8);
    let mut real = vec![0; 5 * sample.iter().product::<usize>()];
    Pixels::new(sample).fill(&mut real);
    stage.bench.run(stage.recorded.init);
    stage.bench.write_bytes(stage.recorded.real, &real);
    stage
}

/// Numbers with standard deviation `std`, evenly distributed about 0.
fn numbers(len: usize, seed: u64, std: f64) -> Vec<f64> {
    let uniform = |i: usize| {
        let words = philox::block(seed, 1 << 28, 0, 0, i as u32);
        f64::from(philox::uniform24(words[0])) - 0.5
    };
    (0..len).map(|i| uniform(i) * 12.0_f64.sqrt() * std).collect()
}

/// A player's loss with these parameters.
fn loss(stage: &mut Stage, player: &str, parameters: &[f64]) -> f64 {
    let (program, width) = match player {
        "discriminator" => (stage.recorded.steps.discriminator, 5),
        _ => (stage.generator_step(), 1),
    };
    let report = format!("report.{player}");
    stage.write(player, parameters);
    stage.write(&report, &vec![0.0; width]);
    stage.bench.run(program);
    stage.read(&report)[0]
}

/// The largest relative error of one player's slopes along three directions.
fn slopes(stage: &mut Stage, player: &str) -> f64 {
    let velocity = format!("optimizer.{player}.velocity");
    let len = stage.read(player).len();
    // The other player stands still, with weights that let something through.
    for other in ["generator", "discriminator"] {
        let len = stage.read(other).len();
        stage.write(other, &numbers(len, 0, 0.2));
        stage.scalar(&format!("{other}.rate"), f64::from(u8::from(other == player)));
    }
    let (mut worst, mut draws, mut seed) = (0.0_f64, 0, 0);
    while draws < 3 {
        seed += 1;
        assert!(seed < 60, "a kink lies along every direction");
        stage.bench.clock.tick = seed;
        let at = numbers(len, 2 * seed, 0.2);
        let direction = numbers(len, 2 * seed + 1, 0.2);
        let moved =
            |h: f64| -> Vec<f64> { at.iter().zip(&direction).map(|(x, v)| x + h * v).collect() };
        loss(stage, player, &moved(0.0));
        let gradient = stage.read(&velocity);
        let recorded: f64 = gradient.iter().zip(&direction).map(|(g, v)| -g * v).sum();
        let error = against_differences(recorded, |h| loss(stage, player, &moved(h)));
        if let Some(error) = error {
            worst = worst.max(error);
            draws += 1;
        }
    }
    println!("{player}: {worst:e}, {seed} draws");
    worst
}

fn both(model: (Value, [usize; 3]), objective: Value, allowed: f64) {
    both_by("algorithm1", model, objective, allowed);
}

fn both_by(schedule: &str, model: (Value, [usize; 3]), objective: Value, allowed: f64) {
    let mut stage = stage(model.clone(), objective.clone(), schedule);
    for player in ["discriminator", "generator"] {
        let error = slopes(&mut stage, player);
        let case = format!("{objective}, {schedule}, {player} of {}", model.0);
        assert!(error < allowed, "{case}: off by {error:e}");
    }
}

fn first_order() -> [Value; 6] {
    [
        json!("minimax"),
        json!("non_saturating"),
        json!("least_squares"),
        json!("hinge"),
        json!({"wasserstein": {"penalty": 0}}),
        json!({"relativistic": {"penalty": 0}}),
    ]
}

#[test]
fn dcgan_with_batch_norm() {
    for kernel in [4, 5] {
        for objective in first_order() {
            both(dcgan(kernel, "batch"), objective, FIRST);
        }
    }
}

#[test]
fn goodfellow_with_maxout_and_dropout() {
    for objective in first_order() {
        both(goodfellow(), objective, FIRST);
    }
}

#[test]
fn dcgan_without_its_guidelines() {
    for settings in [
        json!({"down": "max_pool", "up": "nearest"}),
        json!({"down": "max_pool", "up": "nearest", "kernel": 5}),
        json!({"norm_g": "none", "norm_d": "none"}),
        json!({"norm_ends": true, "output": "sigmoid"}),
        json!({"hidden_fc": 7}),
        json!({"activation_g": "tanh", "slope": 0.0}),
        json!({"activation_g": "leaky_relu"}),
        json!({"activation_d": "maxout", "pieces": 3, "hidden_fc": 5}),
    ] {
        both(without(settings), json!("non_saturating"), FIRST);
    }
}

/// The penalty holds a gradient, and D's step its derivative.
#[test]
fn the_gradient_penalties_of_both_models() {
    for objective in
        [json!({"wasserstein": {"penalty": 10}}), json!({"relativistic": {"penalty": 3}})]
    {
        both(dcgan(4, "none"), objective.clone(), SECOND);
        both(dcgan(5, "none"), objective.clone(), SECOND);
        both(goodfellow(), objective.clone(), SECOND);
        both_by("simultaneous", goodfellow(), objective.clone(), SECOND);
        let pooled = json!({
            "norm_d": "none", "down": "max_pool", "up": "nearest", "hidden_fc": 6, "activation_d": "maxout",
        });
        both(without(pooled), objective, SECOND);
    }
}

/// Where one program moves both, and where G's step has a batch of its own.
#[test]
fn every_schedule() {
    for schedule in ["shared_fakes", "simultaneous", "alternate_batches"] {
        for objective in first_order() {
            both_by(schedule, dcgan(4, "batch"), objective.clone(), FIRST);
            both_by(schedule, goodfellow(), objective, FIRST);
        }
    }
}

/// How many products and weight gradients of convolutions a program computes.
fn products(stage: &Stage, program: Program) -> [usize; 2] {
    let compiled = stage.recorded.tape.compile(&Options::default());
    let nodes = &compiled.program(program).nodes;
    ["matmul", "wgrad"].map(|name| nodes.iter().filter(|n| n.op.name() == name).count())
}

/// D's weight gradients are a ninth of the work of the usual script, which computes them in G's step
/// and throws them away.
#[test]
fn a_step_of_g_computes_no_gradient_of_ds_weights() {
    // G has 3 linear layers, D 3. G's step: both forward; back through D and to all of G but z; the
    // weights of G. D's step: G forward, D forward twice; back to all of D but x, twice; D's weights,
    // twice.
    let stage = stage(goodfellow(), json!("minimax"), "algorithm1");
    let [d, g] = [stage.recorded.steps.discriminator, stage.generator_step()];
    assert_eq!(products(&stage, g), [(3 + 3) + (3 + 2) + 3, 0]);
    assert_eq!(products(&stage, d), [3 + 2 * 3 + 2 * 2 + 2 * 3, 0]);
    // One product at each end of the figure, the innermost of G and the outermost of D: in G's step
    // forward, and backward to D's features and G's weights. Two transposed convolutions of G.
    let stage = self::stage(dcgan(4, "batch"), json!("minimax"), "algorithm1");
    let [d, g] = [stage.recorded.steps.discriminator, stage.generator_step()];
    assert_eq!(products(&stage, g), [2 + 1 + 1, 2]);
    assert_eq!(products(&stage, d), [(1 + 2) + 2 + 2, 2 * 2]);
}
