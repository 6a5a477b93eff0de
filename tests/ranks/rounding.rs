//! Single precision: n ranks differ from one by rounding, and by no more of it than one rank differs from
//! itself when it adds in another order.

use crate::apart::{difference, largest, values};
use crate::games::{dcgan, gan};
use crate::player::{Played, Player};
use crate::reals::Pictures;
use crate::room::{alone, ranks};
use serde_json::json;
use tape::{Fusion, Home, Network, Options};
use train::{Experiment, Saved};

/// The largest difference of a gradient, as a share of the tensor's largest magnitude: some hundred
/// roundings to 24 bits, of 6e-8 each.
const GRADIENT: f64 = 1e-5;

/// How much further n ranks may be from one than one is from itself: each is one draw of rounding.
const FACTOR: f64 = 3.0;

/// −gradient of each parameter in the first step: what momentum is after it.
fn slopes(mut player: Player<'_>) -> Vec<(String, Vec<f64>)> {
    player.step_discriminator();
    let state = player.checkpoint().tensors;
    let (tape, gan) = (&player.recorded.tape, &player.recorded.gan);
    let of = |network: Network| {
        let name = format!("optimizer.{}.velocity", tape.network_name(network));
        let all = state.iter().find(|saved| saved.name == name).map(values).expect("momentum");
        let part = |p| {
            let tensor = tape.tensor(p);
            let Home::Within { offset, .. } = tensor.home else { panic!("a flat buffer") };
            let name = tensor.name.clone().expect("a parameter");
            (name, all[offset..][..tensor.shape.len()].to_vec())
        };
        tape.parameters(network).into_iter().map(part).collect::<Vec<_>>()
    };
    [of(gan.g), of(gan.d)].concat()
}

/// Both gradients at one point, where all ranks have the same parameters, bit for bit.
#[test]
fn gradients_of_one_step() {
    let sgd = json!({"sgd": {"rate": 1, "momentum": 0}});
    let optimizer = json!({"generator": sgd, "discriminator": sgd});
    let plain = json!({"schedule": "simultaneous", "optimizer": optimizer});
    let pictures = Pictures::new();
    for (name, spec) in [("gan", gan(&plain)), ("dcgan", dcgan(&json!({}), &plain))] {
        let options = Options::default();
        let one = |device| slopes(Player::new(&spec, [0, 1], device, &pictures, &options));
        let one = alone(4, one);
        for world in [2, 4, 8] {
            let several = ranks(world, 4, |rank| slopes(Player::of(&spec, rank, &pictures)));
            assert!(several.iter().all(|all| *all == several[0]), "{name}, {world} ranks");
            let mut worst: f64 = 0.0;
            for ((tensor, slope), (_, expected)) in several[0].iter().zip(&one) {
                assert!(largest(expected) > 0.0, "{name}: {tensor} has no gradient");
                let off = difference(slope, expected) / largest(expected);
                assert!(off <= GRADIENT, "{name}, {world} ranks: {tensor} is off by {off:.1e}");
                worst = worst.max(off);
            }
            println!("{name}, gradients in f32, {world} ranks: {worst:.1e}");
        }
    }
}

/// The distance of two states in the parameters of a network, as a share of their length.
fn distance(one: &[Saved], other: &[Saved], network: &str) -> f64 {
    let parameter = |saved: &&Saved| {
        let own = saved.name.strip_prefix(network).is_some_and(|rest| !rest.starts_with(".ema."));
        own && [".weight", ".bias", ".gain", ".shift"].iter().any(|end| saved.name.ends_with(end))
    };
    let all = |state: &[Saved]| state.iter().filter(parameter).flat_map(values).collect::<Vec<_>>();
    let (one, other) = (all(one), all(other));
    let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let apart = length(&mut one.iter().zip(&other).map(|(a, b)| a - b));
    apart / length(&mut other.iter().copied())
}

/// Counters key what is drawn, so no rank can be given its samples in another order. What can be had is
/// one rank that adds otherwise: with its tape as it was recorded, gradients by real samples and by fakes
/// are summed apart and then added, where fusion goes on summing, and batch norm's sums are not taken
/// block by block of a convolution's result; with half of the fusion, some of that. The further apart of
/// the two is the measure.
fn within_rounding(name: &str, spec: &Experiment) {
    let pictures = Pictures::new();
    let one = |fusion| Played::alone(spec, 4, &pictures, &Options { fusion, narrow: false }).state;
    let [fused, half, plain] = [Fusion::All, Fusion::Results, Fusion::None].map(one);
    for world in [2, 4, 8] {
        let several = Played::together(spec, 4, &pictures, world).state;
        for network in ["generator", "discriminator"] {
            let off = |state| distance(state, &fused, network);
            let (found, measure) = (off(&several), off(&half).max(off(&plain)));
            println!("{name}, {network} in f32, {world} ranks: {found:.1e}, one: {measure:.1e}");
            assert!(measure > 0.0, "{name}: one rank has added in the same order");
            assert!(found <= FACTOR * measure, "{name}, {world} ranks: {network} {found:.1e}");
        }
    }
}

#[test]
fn gan_with_two_steps_of_d() {
    within_rounding("gan, k = 2", &gan(&json!({"k": 2})));
}

#[test]
fn dcgan_by_algorithm_1() {
    within_rounding("dcgan", &dcgan(&json!({}), &json!({})));
}

#[test]
fn dcgan_with_shared_fakes() {
    let shared = json!({"schedule": "shared_fakes"});
    within_rounding("dcgan, shared fakes", &dcgan(&json!({}), &shared));
}
