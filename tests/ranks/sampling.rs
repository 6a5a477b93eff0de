//! Pictures of a state do not depend on who draws them.

use crate::games::dcgan;
use crate::player::Player;
use crate::reals::Pictures;
use crate::room::{alone, ranks};
use serde_json::{Value, json};
use tape::{Device, Options};
use train::{Checkpoint, Experiment, Probe, Recorded, Weights};

/// What a rank draws: noise, G's samples of it, those of G's average if there is one, and what D says of
/// them.
fn pictures_of(
    spec: &Experiment,
    checkpoint: &Checkpoint,
    recorded: &Recorded,
    device: &mut dyn Device,
) -> Vec<Vec<u64>> {
    checkpoint.restore(spec, recorded, device).expect("its own experiment");
    let mut probe = Probe::new(recorded, device, spec.seed);
    let z = probe.noise(3).expect("noise");
    let own = probe.generate(Weights::Own, &z).expect("samples");
    let average = probe.generate(probe.best(), &z).expect("samples");
    let judged = probe.judge(&own).expect("judgements");
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits().into()).collect();
    let z = z.iter().map(|x| x.to_bits()).collect();
    vec![z, bits(&own), bits(&average), bits(&judged)]
}

/// On each rank of 1, 2, 4 and 8 the bits of one rank alone; returns those.
fn same_for_every_world(more: &Value) -> Vec<Vec<u64>> {
    let spec = dcgan(&json!({}), more);
    let pictures = Pictures::new();
    let options = Options::default();
    let (checkpoint, one) = alone(4, |device| {
        let mut player = Player::new(&spec, [0, 1], device, &pictures, &options);
        (0..10).for_each(|_| player.iterate());
        let checkpoint = player.checkpoint();
        let one = pictures_of(&spec, &checkpoint, &player.recorded, &mut *player.device);
        (checkpoint, one)
    });
    for world in [1, 2, 4, 8] {
        let all = ranks(world, 4, |rank| {
            let mut player = Player::of(&spec, rank, &pictures);
            pictures_of(&spec, &checkpoint, &player.recorded, &mut *player.device)
        });
        assert!(all.iter().all(|pictures| *pictures == one), "{more}, {world} ranks");
    }
    one
}

#[test]
fn statistics_of_the_samples() {
    let pictures = same_for_every_world(&json!({}));
    assert_ne!(pictures[1], pictures[2], "the average is not G itself");
}

#[test]
fn running_statistics() {
    same_for_every_world(&json!({"sampling_statistics": "running", "ema": null}));
}
