//! Work is split by its shape and never by the number of threads: the bytes of a whole training are
//! the same for every pool.

use serde_json::{Value, json};
use tape::{Dtype, Options};
use tests::{Pixels, Silent, experiment};
use train::{Alone, Job, Outcome, Recorded, Saved, train};

/// All state after twenty steps.
fn trained(settings: &Value, sample: [usize; 3], threads: usize) -> Vec<Saved> {
    let spec = experiment(settings.clone());
    let recorded = Recorded::new(&spec, sample, Dtype::U8, 1);
    let job = Job { spec: &spec, recorded: &recorded, peers: &Alone, options: Options::default() };
    let mut device = cpu::device(cpu::pool(threads).expect("threads"), 4);
    let (mut pixels, mut silent) = (Pixels::new(sample), Silent::default());
    let outcome = train(&job, &mut *device, &mut pixels, &mut silent, None).expect("it trains");
    assert!(matches!(outcome, Outcome::Finished(at) if at.step == 20 && at.generator == 20));
    silent.checkpoint.expect("the end is kept").tensors
}

fn same_for_every_pool(settings: Value, sample: [usize; 3]) {
    let one = trained(&settings, sample, 1);
    let moved = |saved: &&Saved| saved.name.contains("moment") || saved.name.contains("velocity");
    assert!(one.iter().filter(moved).all(|saved| saved.bytes.iter().any(|&b| b != 0)));
    for threads in [2, 3] {
        let several = trained(&settings, sample, threads);
        assert_eq!(one.len(), several.len());
        for (a, b) in one.iter().zip(&several) {
            assert!(a == b, "`{}` has other bytes with {threads} threads", a.name);
        }
    }
}

#[test]
fn dcgan() {
    let model = json!({"dcgan": {"image": 32, "channels": 3, "width": 16, "kernel": 4}});
    let settings = json!({"model": model, "batch": 32, "images": 20 * 32, "ema": 0.99});
    same_for_every_pool(settings, [32, 32, 3]);
}

/// The operations that DCGAN's guidelines do without.
#[test]
fn dcgan_without_its_guidelines() {
    let model = json!({"dcgan": {
        "image": 16, "channels": 3, "width": 16, "kernel": 4, "down": "max_pool", "up": "nearest",
        "norm_ends": true, "hidden_fc": 40, "activation_d": "maxout",
    }});
    let settings = json!({"model": model, "batch": 32, "images": 20 * 32});
    same_for_every_pool(settings, [16, 16, 3]);
}

#[test]
fn goodfellow() {
    let model = json!({"goodfellow": {
        "generator": {"hidden": [120, 120]}, "discriminator": {"maxout": [48, 48]},
    }});
    let sgd = json!({"sgd": {"rate": 0.05}});
    let settings = json!({
        "model": model, "batch": 100, "images": 20 * 100,
        "optimizer": {"generator": sgd, "discriminator": sgd},
    });
    same_for_every_pool(settings, [28, 28, 1]);
}
