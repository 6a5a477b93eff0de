//! Batch norms whose statistics are not those of the world.

use crate::apart::apart;
use crate::engines::ForwardOnly;
use crate::games::{STEPS, dcgan};
use crate::player::{Played, Player};
use crate::reals::Pictures;
use crate::room::ranks_between;
use crate::same::BOUND;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tape::Options;

/// A difference that no rounding makes: [`crate::same`] finds less than 1e-12.
const WRONG: f64 = 1e-6;

/// D has one norm and G two. D moves by D(x) and D(G(z)), and G through D and G.
const BACKWARD_SUMS: usize = 2 + (1 + 2);

/// The ranks agree with each other all the while: it takes one rank with the whole batch to see it.
#[test]
fn statistics_that_are_synchronised_forward_only_are_found() {
    let spec = dcgan(&json!({}), &json!({"schedule": "shared_fakes"}));
    let pictures = Pictures::new();
    let one = Played::alone(&spec, 8, &pictures, &Options::default());
    for world in [2, 4, 8] {
        let left_out = Arc::new(AtomicUsize::new(0));
        let planted = ranks_between(
            world,
            8,
            &|_, engine| ForwardOnly::new(engine, world, &left_out),
            |rank| Played::of(Player::of(&spec, rank, &pictures)),
        );
        assert_eq!(left_out.load(Ordering::Relaxed), BACKWARD_SUMS * STEPS as usize * world);
        let apart = apart(&Played::agreed(planted).state, &one.state);
        println!("forward only, {world} ranks: {:.1e} in {}", apart.by, apart.tensor);
        assert!(apart.by > WRONG, "{world} ranks: {apart:?}");
    }
}

/// Another game for each number of ranks, of which each has one state all the same.
#[test]
fn statistics_of_each_rank() {
    let of_rank = json!({"norm_statistics": "rank"});
    let [world, rank] = [json!({}), of_rank].map(|more| dcgan(&json!({}), &more));
    let pictures = Pictures::new();
    let [one, own] =
        [&world, &rank].map(|spec| Played::alone(spec, 8, &pictures, &Options::default()));
    let same = apart(&own.state, &one.state);
    assert!(same.by <= BOUND, "one rank is the world: {same:?}");
    let mut before = one;
    for world in [2, 4] {
        let several = Played::together(&rank, 8, &pictures, world);
        let apart = apart(&several.state, &before.state);
        println!("statistics of each of {world} ranks: {:.1e} in {}", apart.by, apart.tensor);
        assert!(apart.by > WRONG, "{world} ranks: {apart:?}");
        before = several;
    }
}
