//! Experiments: defaults, what is refused, and how it is said.

use serde_json::{Value, json};
use train::{Count, Data, Experiment, Momentum, Objective, Optimizer, Schedule, Split};

/// A DCGAN on images of 32×32 pixels, with these dotted settings on top.
fn with(settings: &[(&str, Value)]) -> Value {
    let mut json = json!({
        "model": {"dcgan": {"image": 32, "channels": 1}},
        "data": {"images": {"set": "mnist", "pad": 2}},
        "images": "100k",
    });
    for (key, value) in settings {
        let mut here = &mut json;
        for part in key.split('.') {
            here = &mut here[part];
        }
        *here = value.clone();
    }
    json
}

fn experiment(settings: &[(&str, Value)]) -> Experiment {
    serde_json::from_value(with(settings)).unwrap()
}

#[test]
fn what_is_left_out_has_a_default() {
    let spec = experiment(&[]);
    assert_eq!(spec.check(1), Ok(()));
    assert_eq!(spec.check_samples([32, 32, 1]), Ok(()));
    assert_eq!((spec.k, spec.batch, spec.images, spec.seed), (1, 128, Count(100_000), 0));
    assert_eq!((spec.objective, spec.schedule), (Objective::NonSaturating, Schedule::Algorithm1));
    assert_eq!(spec.ema, None);
    let Optimizer::Adam(adam) = spec.optimizer.generator else { panic!("{:?}", spec.optimizer) };
    assert_eq!((adam.rate, adam.beta1, adam.beta2), (2e-4, 0.5, 0.999));
    let Data::Images { split, flip, .. } = spec.data else { panic!("{:?}", spec.data) };
    assert_eq!((split, flip), (Split::Train, false));
}

/// The resolved form names every setting, and reads as the same experiment.
#[test]
fn the_resolved_form_is_complete() {
    let spec = experiment(&[
        ("objective", json!({"wasserstein": {}})),
        ("model.dcgan.norm_d", json!("none")),
        ("optimizer", json!({"generator": {"sgd": {}}})),
    ]);
    let resolved = serde_json::to_value(&spec).unwrap();
    assert_eq!(resolved["images"], 100_000);
    assert_eq!(resolved["objective"]["wasserstein"]["penalty"], 10.0);
    assert_eq!(resolved["optimizer"]["generator"]["sgd"]["momentum"], 0.5);
    assert_eq!(resolved["optimizer"]["discriminator"]["adam"]["l2"], 0.0);
    assert_eq!(resolved["every"]["checkpoint"], 1_000_000);
    assert_eq!(resolved["ema"], Value::Null);
    assert_eq!(serde_json::from_value::<Experiment>(resolved).unwrap(), spec);
}

#[test]
fn momentum_is_a_number_or_a_ramp() {
    let momentum = |json: Value| -> Result<Momentum, _> { serde_json::from_value(json) };
    assert_eq!(momentum(json!(0)).unwrap(), Momentum::Fixed(0.0));
    let ramp = json!({"from": 0.5, "to": 0.7, "over": "12.5M"});
    let Momentum::Ramp(read) = momentum(ramp.clone()).unwrap() else { panic!("expected a ramp") };
    assert_eq!(read.over, Count(12_500_000));
    let written = serde_json::to_value(Momentum::Ramp(read)).unwrap();
    assert_eq!(written, json!({"from": 0.5, "to": 0.7, "over": 12_500_000}));
    for wrong in [json!("half"), json!({"from": 0.5}), json!({"from": 0, "to": 1, "ovre": 3})] {
        assert!(momentum(wrong).is_err());
    }
}

#[test]
fn unknown_keys_and_choices_are_refused() {
    for (key, value) in [
        ("batchsize", json!(3)),
        ("objective", json!("hinges")),
        ("objective", json!({"hinge": {"penalty": 3}})),
        ("objective", json!({"wasserstein": {"lambda": 3}})),
        ("objective", json!({"relativistic": {"lambda": 3}})),
        ("schedule", json!("alternate")),
        ("optimizer.generator", json!({"adam": {"beta3": 1}})),
        ("optimizer.generator", json!({"rmsprop": {}})),
        ("every", json!({"sample": 3})),
        ("data.images.mirror", json!(true)),
        ("precision", json!("f16")),
        ("device", json!("gpu")),
        ("device", json!("cuda:")),
        ("device", json!(0)),
        ("capture", json!("no")),
        ("images", json!("many")),
    ] {
        assert!(serde_json::from_value::<Experiment>(with(&[(key, value)])).is_err(), "{key}");
    }
}

fn refused(settings: &[(&str, Value)], world: usize) -> String {
    experiment(settings).check(world).unwrap_err().to_string()
}

/// Settings, the key that is refused, and what is found there.
type Case = (Vec<(&'static str, Value)>, &'static str, &'static str);

#[test]
fn problems_name_key_value_and_fix() {
    let adam = |key: &str, value: f64| json!({"adam": {key: value}});
    let cases: Vec<Case> = vec![
        (vec![("k", json!(0))], "k", "0"),
        (vec![("k", json!(2)), ("schedule", json!("shared_fakes"))], "k", "2"),
        (vec![("k", json!(2)), ("schedule", json!("simultaneous"))], "k", "2"),
        (vec![("batch", json!(0))], "batch", "0"),
        (vec![("images", json!(0))], "images", "0"),
        (vec![("every", json!({"report": 0}))], "every.report", "0"),
        (vec![("ema", json!(1.0))], "ema", "1"),
        (vec![("device", json!("cuda")), ("precision", json!("f64"))], "precision", "f64"),
        (vec![("device", json!("cpu")), ("precision", json!("bf16"))], "precision", "bf16"),
        (vec![("device", json!("cpu")), ("precision", json!("tf32"))], "precision", "tf32"),
        (
            vec![("ema", json!(0.9)), ("sampling_statistics", json!("running"))],
            "sampling_statistics",
            "running",
        ),
        (vec![("objective", json!({"wasserstein": {}}))], "model.dcgan.norm_d", "batch"),
        (
            vec![("objective", json!({"wasserstein": {"penalty": -1}}))],
            "objective.wasserstein.penalty",
            "-1",
        ),
        (
            vec![("objective", json!({"relativistic": {"penalty": 1}}))],
            "model.dcgan.norm_d",
            "batch",
        ),
        (
            vec![("objective", json!({"relativistic": {"penalty": -1}}))],
            "objective.relativistic.penalty",
            "-1",
        ),
        (vec![("model.dcgan.width", json!(0))], "model.dcgan.width", "0"),
        (
            vec![("optimizer", json!({"generator": adam("rate", 0.0)}))],
            "optimizer.generator.adam.rate",
            "0",
        ),
        (
            vec![("optimizer", json!({"discriminator": adam("beta1", 1.0)}))],
            "optimizer.discriminator.adam.beta1",
            "1",
        ),
        (
            vec![("optimizer", json!({"generator": adam("floor", 1.0)}))],
            "optimizer.generator.adam.floor",
            "1",
        ),
        (
            vec![("optimizer", json!({"generator": {"sgd": {"decay": 0.5}}}))],
            "optimizer.generator.sgd.decay",
            "0.5",
        ),
        (vec![("data.images.set", json!(""))], "data.images.set", "nothing"),
        (vec![("data", json!({"gaussian": {"std": 0.0}}))], "data.gaussian.std", "0"),
        // Numbers are no images.
        (vec![("data", json!({"gaussian": {}}))], "model.dcgan.image", "32"),
    ];
    for (settings, key, found) in cases {
        let message = refused(&settings, 1);
        assert!(
            message.starts_with(&format!("`{key}`: found {found}, ")),
            "{settings:?}: {message}"
        );
        assert!(message.contains("expected ") && message.contains("; "), "{message}");
    }
}

#[test]
fn games_that_can_be_played() {
    for settings in [
        vec![("k", json!(3)), ("schedule", json!("alternate_batches"))],
        vec![("schedule", json!("simultaneous")), ("objective", json!("hinge"))],
        vec![("objective", json!({"relativistic": {}}))],
        vec![
            ("objective", json!({"relativistic": {"penalty": 0.5}})),
            ("model.dcgan.norm_d", json!("none")),
        ],
    ] {
        assert_eq!(experiment(&settings).check(1), Ok(()), "{settings:?}");
    }
}

#[test]
fn ranks_share_a_batch_equally() {
    assert_eq!(experiment(&[]).check(16), Ok(()));
    let message = refused(&[], 3);
    assert!(message.contains("`batch`: found 128, expected a multiple of 3"), "{message}");
    assert!(message.contains("use 126 or 129"), "{message}");
}

#[test]
fn samples_that_do_not_fit_point_to_the_padding() {
    let problem = experiment(&[]).check_samples([28, 28, 1]).unwrap_err();
    assert_eq!(problem.key, "model.dcgan.image");
    assert!(problem.fix.contains("data.images.pad"), "{problem}");
}
