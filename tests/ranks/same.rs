//! Double precision: n ranks compute what one rank computes from the whole batch.
//!
//! All that ranks change is the order of sums over samples. Each such sum is off by some 1e-16 of its
//! summands; batch norm, Adam and fifty steps of two networks enlarge that.

use crate::apart::{apart, difference, largest, values};
use crate::games::{dcgan, gan};
use crate::player::Played;
use crate::reals::Pictures;
use serde_json::{Value, json};
use tape::Options;
use train::Experiment;

/// The largest difference, as a share of the tensor's largest magnitude, of parameters, averages,
/// running statistics, optimisers and sums of figures.
pub const BOUND: f64 = 1e-12;

fn same(name: &str, spec: &Experiment) {
    let pictures = Pictures::new();
    let one = Played::alone(spec, 8, &pictures, &Options::default());
    moves(name, &one);
    for world in [1, 2, 4, 8] {
        let several = Played::together(spec, 8, &pictures, world);
        let apart = apart(&several.state, &one.state);
        println!("{name}, {world} ranks: {:.1e} in {}", apart.by, apart.tensor);
        assert!(world > 1 || several == one, "one rank with an engine is one without");
        assert!(apart.by <= BOUND, "{name}, {world} ranks: {apart:?}");
    }
}

/// Games at rest would prove nothing.
fn moves(name: &str, run: &Played) {
    for (first, last) in run.first.iter().zip(&run.state) {
        let [before, after] = [first, last].map(values);
        let moved = difference(&before, &after) > 5e-3 * largest(&before);
        assert!(moved || !first.name.ends_with(".weight"), "{name}: {} stays", first.name);
    }
}

fn schedule(name: &str) -> Value {
    json!({"schedule": name})
}

#[test]
fn gan_with_two_steps_of_d() {
    same("gan, k = 2", &gan(&json!({"k": 2})));
}

#[test]
fn gan_with_simultaneous_steps() {
    same("gan, simultaneous", &gan(&schedule("simultaneous")));
}

#[test]
fn gan_with_shared_fakes_and_pairs() {
    let pairs =
        json!({"schedule": "shared_fakes", "objective": {"relativistic": {"penalty": 0.1}}});
    same("gan, shared fakes, pairs", &gan(&pairs));
}

#[test]
fn dcgan_by_algorithm_1() {
    same("dcgan", &dcgan(&json!({}), &json!({})));
}

#[test]
fn dcgan_with_shared_fakes() {
    same("dcgan, shared fakes", &dcgan(&json!({}), &schedule("shared_fakes")));
}

/// Norms at the ends, and of units that have one number for each sample. Such norms enlarge rounding the
/// more, the smaller the weights before them are: with those of the other games to 4e-13.
#[test]
fn dcgan_with_simultaneous_steps_and_all_norms() {
    let norms = json!({"norm_ends": true, "hidden_fc": 8, "init": 0.3});
    same("dcgan, simultaneous, all norms", &dcgan(&norms, &schedule("simultaneous")));
}

#[test]
fn dcgan_with_a_gradient_penalty() {
    let critic = json!({"objective": {"wasserstein": {"penalty": 10}}, "k": 2});
    same("dcgan, gradient penalty", &dcgan(&json!({"norm_d": "none"}), &critic));
}
