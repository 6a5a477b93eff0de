//! Sums are begun while gradients are computed, and finished before somebody reads them.

use crate::engines::{Event, Noting, Poisoning};
use crate::games::{dcgan, gan};
use crate::player::{Played, Player};
use crate::reals::{PICTURE, Pictures};
use crate::room::{Between, ranks_between};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tape::{Node, Op, Options, Program, T, Tape};
use train::Experiment;

const WORLD: usize = 2;

/// The sums of a program, in the order in which they are begun: where they stand among the operations,
/// and whether they are of a part of a gradient, which alone are added up in place.
fn sums(nodes: &[Node]) -> Vec<(usize, bool)> {
    let sum = |(at, node): (usize, &Node)| {
        matches!(node.op, Op::AllReduce { .. }).then(|| (at, node.ins == node.outs))
    };
    nodes.iter().enumerate().filter_map(sum).collect()
}

/// Where the last operation stands that computes a part of the same gradient as the sum at `bucket`.
fn last_writer(tape: &Tape, nodes: &[Node], bucket: usize) -> usize {
    let compiled = tape.compile(&Options::default());
    let root = |t: T| compiled.root(t).0;
    let flat = root(nodes[bucket].outs[0]);
    let writes = |node: &Node| {
        !matches!(node.op, Op::AllReduce { .. }) && node.outs.iter().any(|&t| root(t) == flat)
    };
    nodes.iter().rposition(writes).expect("a gradient is computed")
}

/// D's step on the first of two ranks: all parts of the gradient but the last are begun before the last
/// operation of the backward pass, and waited for after it. Returns how many parts there are.
fn overlaps(name: &str, spec: &Experiment) -> usize {
    let pictures = Pictures::new();
    let events: [_; WORLD] = std::array::from_fn(|_| Arc::new(Mutex::new(Vec::new())));
    let noting: Between = &|rank, engine| Noting::new(engine, &events[rank]);
    let listings = ranks_between(WORLD, 8, noting, |rank| {
        let mut player = Player::of(spec, rank, &pictures);
        player.step_discriminator();
        let tape = &player.recorded.tape;
        let Program(number) = player.recorded.steps.discriminator;
        let nodes = tape.compile(&Options::default()).programs.swap_remove(number).nodes;
        let sums = sums(&nodes);
        let last = sums.iter().rfind(|(_, bucket)| *bucket).expect("gradients are summed").0;
        (sums, last_writer(tape, &nodes, last))
    });
    let (sums, last_writer) = &listings[0];
    let buckets: Vec<usize> = (0..sums.len()).filter(|&number| sums[number].1).collect();
    let events = events[0].lock().expect("no rank has failed").clone();
    let at = |event| events.iter().position(|&e| e == event).expect("each sum begins and ends");
    let (&end, early) = buckets.split_last().expect("gradients are summed");
    for &bucket in early {
        assert!(
            sums[bucket].0 < *last_writer,
            "{name}: sum {bucket} is begun behind the backward pass"
        );
        let waited = at(Event::Finished(bucket));
        assert!(waited > at(Event::Begun(end)), "{name}: sum {bucket} is waited for in between");
    }
    assert!(sums[end].0 > *last_writer);
    buckets.len()
}

#[test]
fn gradients_are_summed_while_they_are_computed() {
    // As many units as a picture has numbers: all layers are of one size, and so are the parts.
    let maxout = vec![PICTURE.iter().product::<usize>(); 4];
    let model = json!({"goodfellow": {
        "generator": {"latent": 8, "hidden": [8]},
        "discriminator": {"maxout": maxout, "pieces": 2},
    }});
    assert_eq!(overlaps("gan", &gan(&json!({"model": model, "ema": null}))), 4);
    assert_eq!(overlaps("dcgan", &dcgan(&json!({}), &json!({}))), 3);
}

/// The same bits, although what is handed over holds NaN until it is waited for.
#[test]
fn nobody_reads_a_sum_before_it_is_finished() {
    let shared = json!({"schedule": "shared_fakes", "images": 5 * 16});
    let pictures = Pictures::new();
    for (name, spec) in [
        ("gan", gan(&json!({"k": 2, "images": 10 * 16}))),
        ("dcgan", dcgan(&json!({}), &shared)),
        ("rank", dcgan(&json!({}), &json!({"norm_statistics": "rank", "images": 5 * 16}))),
    ] {
        let played = |between: Between| {
            let all = ranks_between(WORLD, 4, between, |rank| {
                Played::of(Player::of(&spec, rank, &pictures))
            });
            Played::agreed(all)
        };
        let plain = played(&|_, engine| engine);
        let poisoned = played(&|_, engine| Poisoning::new(engine));
        assert!(plain == poisoned, "{name}: a sum was read early");
    }
}
