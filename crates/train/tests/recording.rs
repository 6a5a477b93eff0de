//! What the programs compute, and what they do not.

use serde_json::{Value, json};
use tape::{Dtype, Node, Op, Options, Program};
use train::{Experiment, Recorded};

/// A DCGAN of two convolutions on images of 16×16 pixels.
fn recorded(settings: Value) -> Recorded {
    let mut json = json!({
        "model": {"dcgan": {"image": 16, "channels": 1, "width": 2, "kernel": 4, "latent": 3}},
        "data": {"images": {"set": "mnist"}},
        "batch": 4,
        "images": 100,
    });
    for (key, value) in settings.as_object().unwrap() {
        json[key] = value.clone();
    }
    let spec: Experiment = serde_json::from_value(json).unwrap();
    spec.check(1).unwrap();
    let sample = spec.model.sample().unwrap_or([16, 16, 1]);
    Recorded::new(&spec, sample, Dtype::U8, 1)
}

fn nodes(recorded: &Recorded, program: Program) -> Vec<Node> {
    recorded.tape.compile(&Options::default()).program(program).nodes.clone()
}

/// Numbers of forward convolutions, data gradients and weight gradients.
fn convolutions(nodes: &[Node]) -> [usize; 3] {
    ["fprop", "dgrad", "wgrad"].map(|name| nodes.iter().filter(|n| n.op.name() == name).count())
}

/// G has two transposed convolutions, D two convolutions.
///
/// D's step: D forward twice is 4 fprop; G forward 2 dgrad, D backward twice but not into the images
/// 2 dgrad; weights of D twice 4 wgrad. G's step: D forward 2 fprop, G backward 2 fprop; G forward
/// 2 dgrad, D backward 2 dgrad; weights of G 2 wgrad and none of D.
#[test]
fn each_step_computes_the_gradients_of_one_player() {
    let recorded = recorded(json!({}));
    let d = nodes(&recorded, recorded.steps.discriminator);
    let g = nodes(&recorded, recorded.steps.generator.unwrap());
    assert_eq!(convolutions(&d), [4, 4, 4]);
    assert_eq!(convolutions(&g), [4, 4, 2]);
}

/// As above, but G runs forward once: 3 · 2 + 2 fprop, 2 + 2 + 2 dgrad, 4 + 2 wgrad.
#[test]
fn shared_fakes_are_made_once() {
    let recorded = recorded(json!({"schedule": "shared_fakes"}));
    assert_eq!(recorded.steps.generator, None);
    let step = nodes(&recorded, recorded.steps.discriminator);
    assert_eq!(convolutions(&step), [8, 6, 6]);
    let draws = step.iter().filter(|n| matches!(n.op, Op::Noise { .. })).count();
    assert_eq!(draws, 1);
    let guards = step.iter().filter(|n| matches!(n.op, Op::Guard)).count();
    assert_eq!(guards, 2);
}

/// D forward at x and at G(z) 4 fprop, G backward 2; G forward 2 dgrad, D backward for its own weights
/// twice 1, and down to the images 2; weights of D 4 wgrad, of G 2. One guard stands before all moves.
#[test]
fn both_players_move_at_once() {
    let recorded = recorded(json!({"schedule": "simultaneous"}));
    assert_eq!(recorded.steps.generator, None);
    let step = nodes(&recorded, recorded.steps.discriminator);
    assert_eq!(convolutions(&step), [6, 6, 6]);
    let place = |is: fn(&Op) -> bool| {
        step.iter().enumerate().filter(|(_, n)| is(&n.op)).map(|(i, _)| i).collect::<Vec<_>>()
    };
    let guards = place(|op| matches!(op, Op::Guard));
    assert_eq!(guards.len(), 1);
    let updates = place(|op| matches!(op, Op::Adam { .. } | Op::Running { .. }));
    assert_eq!(updates.len(), 2 + 3);
    assert!(updates.iter().all(|&i| i > guards[0]));
    let slopes = place(|op| ["wgrad", "matmul"].contains(&op.name()));
    assert!(slopes.iter().all(|&i| i < guards[0]));
}

/// G's step of a game of pairs asks D about real samples as well, and about its weights never.
#[test]
fn a_game_of_pairs_reads_real_samples_in_both_steps() {
    for (objective, reads) in [(json!("hinge"), false), (json!({"relativistic": {}}), true)] {
        let recorded = recorded(json!({"objective": objective}));
        let step = nodes(&recorded, recorded.steps.generator.unwrap());
        assert_eq!(step.iter().any(|n| n.ins.contains(&recorded.real)), reads, "{objective}");
        let more = if reads { 2 } else { 0 };
        assert_eq!(convolutions(&step), [4 + more, 4, 2], "{objective}");
    }
}

#[test]
fn alternating_batches_needs_no_program_of_its_own() {
    let printed = |schedule: &str| {
        let recorded = recorded(json!({"schedule": schedule}));
        let compiled = recorded.tape.compile(&Options::default());
        [recorded.steps.discriminator, recorded.steps.generator.unwrap()].map(|p| compiled.print(p))
    };
    assert_eq!(printed("alternate_batches"), printed("algorithm1"));
}

/// Names of the running statistics that a program updates.
fn updated(recorded: &Recorded, program: Program) -> Vec<String> {
    let nodes = nodes(recorded, program);
    let running = nodes.iter().filter(|n| matches!(n.op, Op::Running { .. }));
    running.map(|n| recorded.tape.tensor(n.outs[0]).name.clone().unwrap()).collect()
}

#[test]
fn running_statistics_follow_their_own_player() {
    let g = ["generator.0.running", "generator.1.running"];
    let d = ["discriminator.1.running"];
    let two = recorded(json!({}));
    assert_eq!(updated(&two, two.steps.discriminator), d);
    assert_eq!(updated(&two, two.steps.generator.unwrap()), g);
    let one = recorded(json!({"schedule": "shared_fakes"}));
    assert_eq!(updated(&one, one.steps.discriminator), [g[0], g[1], d[0]]);
    let one = recorded(json!({"schedule": "simultaneous"}));
    assert_eq!(updated(&one, one.steps.discriminator), [g[0], g[1], d[0]]);
}

/// Forward at x̂ 2 fprop, its slope 2 dgrad; backward through the slope 2 fprop, and 2 wgrad: the
/// slope of a rectifier is constant almost everywhere, so the forward pass is not met again.
#[test]
fn the_gradient_penalty_is_differentiated_twice() {
    let model = json!({"dcgan": {
        "image": 16, "channels": 1, "width": 2, "kernel": 4, "latent": 3, "norm_d": "none"
    }});
    let step = |penalty: f64| {
        let objective = json!({"wasserstein": {"penalty": penalty}});
        let recorded = recorded(json!({"model": model, "objective": objective}));
        convolutions(&nodes(&recorded, recorded.steps.discriminator))
    };
    assert_eq!(step(0.0), [4, 4, 4]);
    assert_eq!(step(10.0), [4 + 2 + 2, 4 + 2, 4 + 2]);
}

/// As above at x and at G(z), but D's answers there are known already: twice 2 dgrad, 2 fprop and 2 wgrad.
#[test]
fn the_relativistic_penalty_asks_d_nothing_new() {
    let model = json!({"dcgan": {
        "image": 16, "channels": 1, "width": 2, "kernel": 4, "latent": 3, "norm_d": "none"
    }});
    let step = |penalty: f64| {
        let objective = json!({"relativistic": {"penalty": penalty}});
        let recorded = recorded(json!({"model": model, "objective": objective}));
        convolutions(&nodes(&recorded, recorded.steps.discriminator))
    };
    assert_eq!(step(0.0), [4, 4, 4]);
    assert_eq!(step(1.0), [4 + 2 * 2, 4 + 2 * 2, 4 + 2 * 2]);
}

#[test]
fn the_gradient_penalty_goes_through_maxout_and_dropout() {
    let recorded = recorded(json!({
        "model": {"goodfellow": {"generator": {"hidden": [4]}, "discriminator": {"maxout": [3], "pieces": 2}}},
        "objective": {"wasserstein": {}},
    }));
    let step = nodes(&recorded, recorded.steps.discriminator);
    assert!(step.iter().any(|n| matches!(n.op, Op::MaxoutScatter { .. })));
}

/// The guidelines of DCGAN, one changed at a time: what an ablation over them is made of.
#[test]
fn every_guideline_can_be_dropped() {
    let variants = [
        json!({}),
        json!({"down": "max_pool", "up": "nearest"}),
        json!({"norm_g": "none", "norm_d": "none"}),
        json!({"norm_g": "none"}),
        json!({"norm_d": "none"}),
        json!({"norm_ends": true}),
        json!({"hidden_fc": 8}),
        json!({"activation_g": "tanh"}),
        json!({"activation_g": "leaky_relu", "output": "sigmoid"}),
        json!({"slope": 0.0}),
        json!({"activation_d": "maxout", "pieces": 2}),
        json!({"down": "max_pool", "up": "nearest", "norm_ends": true, "hidden_fc": 8,
               "activation_g": "tanh", "output": "sigmoid", "activation_d": "maxout", "pieces": 3}),
    ];
    let mut hashes = Vec::new();
    for variant in &variants {
        for kernel in [4, 5] {
            let mut model = json!({"image": 16, "channels": 1, "width": 2, "latent": 3});
            model["kernel"] = kernel.into();
            for (key, value) in variant.as_object().unwrap() {
                model[key] = value.clone();
            }
            for schedule in ["algorithm1", "shared_fakes"] {
                let recorded = recorded(json!({"model": {"dcgan": model}, "schedule": schedule}));
                let compiled = recorded.tape.compile(&Options::default());
                assert!(compiled.plan.total_bytes(4) > 0);
                hashes.push(recorded.hash());
            }
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), variants.len() * 4, "each of them is another experiment");
}

/// Batch norm over one number is nothing but its shift.
#[test]
fn a_batch_of_one_is_refused_behind_fully_connected_layers() {
    let spec = |hidden_fc: usize, norm: &str| -> Experiment {
        serde_json::from_value(json!({
            "model": {"dcgan": {"image": 16, "hidden_fc": hidden_fc, "norm_g": norm, "norm_d": norm}},
            "data": {"images": {"set": "mnist"}}, "batch": 1, "images": 100,
        }))
        .unwrap()
    };
    let problem = spec(4, "batch").check(1).unwrap_err();
    assert_eq!((&*problem.key, &*problem.found), ("batch", "1"));
    spec(4, "none").check(1).unwrap();
    spec(0, "batch").check(1).unwrap();
}

/// A penalty is differentiated twice, through pools and pieces as well.
#[test]
fn the_gradient_penalty_goes_through_pooling() {
    let recorded = recorded(json!({
        "model": {"dcgan": {"image": 16, "channels": 1, "width": 2, "kernel": 4, "latent": 3,
            "norm_d": "none", "down": "max_pool", "hidden_fc": 4, "activation_d": "maxout"}},
        "objective": {"wasserstein": {}},
    }));
    let step = nodes(&recorded, recorded.steps.discriminator);
    let count = |is: fn(&Op) -> bool| step.iter().filter(|n| is(&n.op)).count();
    // Two pools: forward on reals, fakes and between them, and once more where the slope, which was
    // scattered, is differentiated; backward from the losses of reals and fakes, and for the slope.
    assert_eq!(count(|op| matches!(op, Op::PoolPick(_))), 2 * 4);
    assert_eq!(count(|op| matches!(op, Op::PoolScatter(_))), 2 * 3);
}

#[test]
fn every_choice_is_recorded() {
    for objective in [
        json!("minimax"),
        json!("non_saturating"),
        json!("least_squares"),
        json!("hinge"),
        json!({"wasserstein": {"penalty": 0}}),
        json!({"relativistic": {"penalty": 0}}),
    ] {
        for schedule in ["algorithm1", "shared_fakes", "simultaneous", "alternate_batches"] {
            for player in [json!({"adam": {}}), json!({"sgd": {}})] {
                for (ema, statistics) in
                    [(json!(0.99), "batch"), (Value::Null, "running"), (Value::Null, "batch")]
                {
                    let recorded = recorded(json!({
                        "objective": objective, "schedule": schedule, "ema": ema,
                        "sampling_statistics": statistics,
                        "optimizer": {"generator": player, "discriminator": player},
                    }));
                    let compiled = recorded.tape.compile(&Options::default());
                    let names: Vec<&str> = compiled.programs.iter().map(|p| &*p.name).collect();
                    assert_eq!(names.contains(&"sample_ema"), !ema.is_null());
                    assert_eq!(names.last(), Some(&"init"));
                }
            }
        }
    }
}

/// A run goes on with another number of ranks, but not with another experiment.
#[test]
fn the_hash_is_that_of_the_experiment() {
    let spec = |k: u64| -> Experiment {
        serde_json::from_value(json!({
            "model": {"goodfellow": {"generator": {"hidden": [4]}, "discriminator": {"maxout": [3]}}},
            "data": {"gaussian": {}},
            "batch": 8 * k,
            "images": 100,
        }))
        .unwrap()
    };
    let hash = |k, world| Recorded::new(&spec(k), [1, 1, 1], Dtype::F32, world).hash();
    assert_eq!(hash(1, 1), hash(1, 4));
    assert_ne!(hash(1, 1), hash(2, 1));
}
