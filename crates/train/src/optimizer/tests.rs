//! The schedules of the 2014 code (mnist.yaml), against their closed forms.

use super::*;
use serde_json::json;

fn mnist() -> Optimizer {
    let sgd = json!({"sgd": {
        "rate": 0.1, "decay": 1.000004, "floor": 1e-6,
        "momentum": {"from": 0.5, "to": 0.7, "over": "12.45M"},
    }});
    serde_json::from_value(sgd).unwrap()
}

/// pylearn2's ExponentialDecay: max(1e-6, 0.1 / 1.000004ᵗ) after t updates.
#[test]
fn the_rate_decays_with_every_update() {
    let adam = json!({"adam": {"rate": 0.1, "decay": 1.000004, "floor": 1e-6}});
    for optimizer in [mnist(), serde_json::from_value(adam).unwrap()] {
        let rate = |t: u64| optimizer.scalar("rate", t, &Progress::default()).unwrap();
        let mut divided = 0.1;
        for t in 0..20_000 {
            // A division a step gathers half an ulp each: 20,000 · 1.1e-16.
            assert!((rate(t) / divided - 1.0).abs() < 5e-12, "{t}");
            divided /= 1.000004;
        }
        // It halves in log 2 / log 1.000004 = 173,287 updates, and is at its floor after
        // log 1e5 / log 1.000004 = 2,878,237.
        assert!((rate(173_287) - 0.05).abs() < 1e-6);
        assert!(rate(2_878_200) > 1e-6);
        assert_eq!(rate(2_878_300), 1e-6);
        assert_eq!(rate(100_000_000), 1e-6);
    }
}

/// pylearn2's MomentumAdjustor counts epochs from 1 before the first of them: in epoch e of 50,000
/// images it has 0.5 + 0.2 min(1, (e − 1) / 249). Ours is the line through the epochs' beginnings.
#[test]
fn momentum_rises_from_the_first_epoch_to_the_250th() {
    let momentum = |images: u64| {
        let at = Progress { images, ..Progress::default() };
        mnist().scalar("momentum", 0, &at).unwrap()
    };
    for epoch in 1..=300_u64 {
        let theirs = 0.5 + 0.2 * ((epoch - 1) as f64 / 249.0).min(1.0);
        let ours = momentum((epoch - 1) * 50_000);
        assert!((ours - theirs).abs() < 1e-12, "epoch {epoch}: {ours}, not {theirs}");
    }
    assert_eq!(momentum(0), 0.5);
    assert_eq!(momentum(1_000_000_000), 0.7);
}
