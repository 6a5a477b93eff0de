//! Whole experiments, fused and as they were recorded: the same numbers but for rounding, and the same
//! bytes for every number of threads.

use serde_json::{Value, json};
use tape::{Dtype, Fusion, Kind, Options, Program, T, philox};
use tests::{Bench, Pixels, experiment};
use train::Recorded;

const SAMPLE: [usize; 3] = [16, 16, 3];

fn dcgan(settings: Value) -> Value {
    let mut model = json!({
        "image": 16, "channels": 3, "width": 4, "kernel": 4, "latent": 6, "init": 0.2,
    });
    for (key, value) in settings.as_object().expect("settings are a map") {
        model[key] = value.clone();
    }
    json!({ "dcgan": model })
}

/// Plain descent: Adam would make a step of rounding where a gradient is 0.
fn recorded(model: Value, more: Value, batch: usize) -> Recorded {
    let sgd = json!({"sgd": {"rate": 0.05, "momentum": 0.5}});
    let mut settings = json!({
        "model": model, "batch": batch, "ema": 0.9,
        "optimizer": {"generator": sgd, "discriminator": sgd},
    });
    for (key, value) in more.as_object().expect("settings are a map") {
        settings[key] = value.clone();
    }
    Recorded::new(&experiment(settings), SAMPLE, Dtype::U8, 1)
}

/// All that survives two rounds of every program.
fn played(recorded: &Recorded, options: Options, threads: usize, real: usize) -> Vec<Kept> {
    let tape = &recorded.tape;
    let mut bench = Bench::new(tape, real, threads, &options);
    bench.clock.scalars.fill(0.05);
    bench.run(recorded.init);
    for t in tape.all() {
        let (kind, dtype, len) =
            (tape.tensor(t).kind, tape.tensor(t).dtype, tape.tensor(t).shape.len());
        match (kind, dtype) {
            (Kind::Input, Dtype::U8) => {
                let mut bytes = vec![0; len];
                Pixels::new(SAMPLE).fill(&mut bytes);
                bench.write_bytes(t, &bytes);
            }
            (Kind::Input, _) => {
                let word = |i| f64::from(philox::block(3, 1 << 28, 0, 0, i as u32)[0] >> 8);
                let values: Vec<f64> =
                    (0..len).map(|i| word(i) / f64::from(1 << 23) - 1.0).collect();
                bench.write(t, &values);
            }
            _ => {}
        }
    }
    let programs = tape.compile(&options).programs.len();
    for _ in 0..2 {
        for program in (0..programs).map(Program).filter(|p| *p != recorded.init) {
            bench.clock.tick += 1;
            bench.run(program);
        }
    }
    let kept = |t: &T| matches!(tape.tensor(*t).kind, Kind::State | Kind::Output);
    let look = |t: T| {
        let (name, len) = (tape.tensor(t).name.clone(), tape.shape(t).len());
        Kept { name, values: bench.read(t, len), bytes: bench.bytes(t, len) }
    };
    tape.all().into_iter().filter(kept).map(look).collect()
}

struct Kept {
    name: Option<String>,
    values: Vec<f64>,
    bytes: Vec<u8>,
}

fn same_but_for_rounding(what: &str, recorded: &Recorded) {
    let fused = played(recorded, Options::default(), 1, 8);
    let so_far = |fusion| played(recorded, Options { fusion, narrow: false }, 1, 8);
    let plain = so_far(Fusion::None);
    let results = so_far(Fusion::Results);
    assert_eq!([fused.len(), results.len()], [plain.len(); 2]);
    for (a, b) in fused.iter().chain(&results).zip(plain.iter().chain(&plain)) {
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let size = norm(&mut b.values.iter().copied());
        let off = norm(&mut a.values.iter().zip(&b.values).map(|(a, b)| a - b));
        assert!(size.is_finite(), "{what}: {:?}", a.name);
        // A wrong fusion is off by about one. Rounding is 1e-16, which batch norm over five numbers and
        // four updates enlarge.
        assert!(off <= 1e-9 * size, "{what}: {:?} is off by {}", a.name, off / size);
    }
    for threads in [2, 3] {
        let several = played(recorded, Options::default(), threads, 8);
        let other = fused.iter().zip(&several).find(|(a, b)| a.bytes != b.bytes);
        assert!(other.is_none(), "{what}: {:?} with {threads} threads", other.map(|o| &o.0.name));
    }
}

#[test]
fn every_guideline() {
    for variant in [
        json!({}),
        json!({"kernel": 5}),
        json!({"down": "max_pool", "up": "nearest"}),
        json!({"norm_g": "none", "norm_d": "none"}),
        json!({"norm_d": "none"}),
        json!({"norm_ends": true}),
        json!({"hidden_fc": 8, "activation_d": "maxout", "pieces": 2}),
        json!({"activation_g": "tanh", "slope": 0.0}),
        json!({"activation_g": "leaky_relu", "output": "sigmoid"}),
    ] {
        let what = variant.to_string();
        same_but_for_rounding(&what, &recorded(dcgan(variant), json!({}), 5));
    }
}

#[test]
fn every_schedule_and_objective() {
    let goodfellow = json!({"goodfellow": {
        "generator": {"latent": 6, "hidden": [12, 10]},
        "discriminator": {"maxout": [9, 7], "pieces": 3},
    }});
    for schedule in ["algorithm1", "shared_fakes", "simultaneous"] {
        for objective in ["non_saturating", "least_squares", "hinge"] {
            let more = json!({"schedule": schedule, "objective": objective});
            let what = more.to_string();
            same_but_for_rounding(&what, &recorded(dcgan(json!({})), more.clone(), 5));
            same_but_for_rounding(&what, &recorded(goodfellow.clone(), more, 5));
        }
    }
    for objective in
        [json!({"wasserstein": {"penalty": 10}}), json!({"relativistic": {"penalty": 3}})]
    {
        let more = json!({"objective": objective, "sampling_statistics": "running", "ema": null});
        let what = more.to_string();
        same_but_for_rounding(&what, &recorded(dcgan(json!({"norm_d": "none"})), more, 5));
    }
}

/// As many samples as make several tasks of each convolution.
#[test]
fn tasks_of_every_kind() {
    let recorded = recorded(dcgan(json!({"width": 16})), json!({}), 40);
    same_but_for_rounding("width 16", &recorded);
    let one = played(&recorded, Options::default(), 1, 4);
    let three = played(&recorded, Options::default(), 3, 4);
    assert!(one.iter().zip(&three).all(|(a, b)| a.bytes == b.bytes));
}
