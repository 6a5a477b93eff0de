//! Settings that cannot be are refused by their key.

use model::{Dcgan, Model};

fn refused(json: &str, sample: [usize; 3]) -> String {
    let model: Model = serde_json::from_str(json).unwrap();
    model.check(sample).unwrap_err().to_string()
}

#[test]
fn defaults_are_written_and_read() {
    let short: Model = serde_json::from_str(r#"{"dcgan": {}}"#).unwrap();
    assert_eq!(short, Model::Dcgan(Dcgan::default()));
    let long = serde_json::to_string(&short).unwrap();
    assert!(long.contains(r#""norm_g":"batch""#), "{long}");
    assert_eq!(serde_json::from_str::<Model>(&long).unwrap(), short);
}

#[test]
fn unknown_keys_and_choices_are_refused() {
    for json in [
        r#"{"dcgan": {"slop": 0.2}}"#,
        r#"{"goodfellow": {"generator": {"hiden": [3]}}}"#,
        r#"{"biggan": {}}"#,
        r#"{"dcgan": {"down": "average"}}"#,
        r#"{"dcgan": {"output": "linear"}}"#,
        r#"{"dcgan": {"hidden_fc": -1}}"#,
    ] {
        assert!(serde_json::from_str::<Model>(json).is_err(), "{json}");
    }
}

#[test]
fn problems_name_key_value_and_fix() {
    let grey = [32, 32, 1];
    for (json, key, found) in [
        (r#"{"dcgan": {"image": 48}}"#, "dcgan.image", "48"),
        (r#"{"dcgan": {"image": 8}}"#, "dcgan.image", "8"),
        (r#"{"dcgan": {"image": 32}}"#, "dcgan.channels", "3"),
        (r#"{"dcgan": {"image": 32, "channels": 1, "kernel": 3}}"#, "dcgan.kernel", "3"),
        (r#"{"dcgan": {"image": 32, "channels": 1, "width": 0}}"#, "dcgan.width", "0"),
        (r#"{"dcgan": {"image": 32, "channels": 1, "slope": 1.5}}"#, "dcgan.slope", "1.5"),
        (
            r#"{"dcgan": {"image": 32, "channels": 1, "norm_ends": true, "norm_g": "none", "norm_d": "none"}}"#,
            "dcgan.norm_ends",
            "true",
        ),
        (
            r#"{"dcgan": {"image": 32, "channels": 1, "hidden_fc": 65537}}"#,
            "dcgan.hidden_fc",
            "65537",
        ),
        (r#"{"dcgan": {"image": 32, "channels": 1, "pieces": 1}}"#, "dcgan.pieces", "1"),
        (r#"{"dcgan": {"image": 32, "channels": 1, "pieces": 17}}"#, "dcgan.pieces", "17"),
        (r#"{"dcgan": {"image": 64, "channels": 1}}"#, "dcgan.image", "64"),
        (r#"{"goodfellow": {"generator": {"hidden": [0]}}}"#, "goodfellow.generator.hidden.0", "0"),
        (
            r#"{"goodfellow": {"discriminator": {"keep_input": 0}}}"#,
            "goodfellow.discriminator.keep_input",
            "0",
        ),
        (
            r#"{"goodfellow": {"generator": {"marginals": true, "output": "tanh"}}}"#,
            "goodfellow.generator.marginals",
            "true",
        ),
    ] {
        let message = refused(json, grey);
        let start = format!("`{key}`: found {found}, expected ");
        assert!(message.starts_with(&start), "{json}: {message}");
        assert!(message.contains("; "), "no fix: {message}");
    }
}

/// One of the two is enough for the ends to follow.
#[test]
fn ends_follow_the_network_that_is_normalised() {
    for norms in [r#""norm_g": "none""#, r#""norm_d": "none""#] {
        let json = format!(r#"{{"dcgan": {{"norm_ends": true, "output": "sigmoid", {norms}}}}}"#);
        let model: Model = serde_json::from_str(&json).unwrap();
        model.check([64, 64, 3]).unwrap();
        assert_ne!(model.has_norm_g(), model.has_norm_d());
    }
}

#[test]
fn samples_of_the_wrong_size_are_refused_with_the_way_out() {
    let message = refused(r#"{"dcgan": {"image": 32, "channels": 1}}"#, [28, 28, 1]);
    assert!(message.contains("since the samples are 28×28"), "{message}");
    assert!(message.contains("data.images.pad"), "{message}");
}
