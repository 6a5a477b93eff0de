//! Typed experiments from layers, and every kind of mistake.

use super::*;
use crate::layers::load;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::path::PathBuf;
use tempfile::TempDir;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    model: Model,
    #[serde(default)]
    optimizer: Optimizer,
    #[serde(default = "one")]
    k: u32,
    images: Count,
    #[serde(default)]
    every: Every,
    #[serde(default)]
    precision: Precision,
    #[serde(default)]
    ema: Option<Ema>,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Model {
    Dcgan(Dcgan),
    Goodfellow { hidden: Vec<u32> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dcgan {
    image: u32,
    slope: f32,
    tags: Vec<u8>,
    #[serde(rename = "final")]
    last: bool,
}

impl Default for Dcgan {
    fn default() -> Self {
        Dcgan { image: 64, slope: 0.2, tags: Vec::new(), last: false }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Optimizer {
    Adam {
        rate: f64,
        #[serde(default)]
        beta1: f64,
    },
    Sgd {
        rate: f64,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::Adam { rate: 2e-4, beta1: 0.5 }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Every {
    samples: u64,
    metrics: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Precision {
    #[default]
    Auto,
    F32,
    Bf16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ema {
    decay: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(n) => Ok(Count(n)),
            Written::Text(text) => text
                .strip_suffix('k')
                .and_then(|digits| digits.parse::<u64>().ok())
                .map(|thousands| Count(thousands * 1000))
                .ok_or_else(|| {
                    serde::de::Error::custom(format!("`{text}` is not a count such as 100k"))
                }),
        }
    }
}

struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let dir = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Files(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn layered(&self, sets: &[&str]) -> Layered {
        let sets: Vec<String> = sets.iter().map(|&s| s.to_owned()).collect();
        load(&self.path("x.yaml"), &sets).unwrap()
    }

    fn resolve(&self, sets: &[&str]) -> Experiment {
        resolve(&self.layered(sets)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error_of(&self, layered: &Layered) -> String {
        let error = resolve::<Experiment>(layered).unwrap_err().to_string();
        error.replace(&format!("{}/", self.0.path().display()), "")
    }

    fn error(&self, sets: &[&str]) -> String {
        self.error_of(&self.layered(sets))
    }
}

/// The error of a single file `x.yaml`.
fn error(text: &str) -> String {
    Files::new(&[("x.yaml", text)]).error(&[])
}

#[test]
fn maps_join_and_choices_replace() {
    let files = Files::new(&[
        (
            "base.yaml",
            "model: {dcgan: {image: 32, slope: 0.1}}\nimages: 5\noptimizer: {adam: {rate: 1, beta1: 0.9}}\n\
             every: {metrics: 500}\n",
        ),
        (
            "x.yaml",
            "base: base\nmodel: {dcgan: {slope: 0.3}}\noptimizer: {sgd: {rate: 0.1}}\nevery: {samples: 7}\n",
        ),
    ]);
    let experiment = files.resolve(&["images=3k", "precision=bf16"]);
    let expected = Experiment {
        model: Model::Dcgan(Dcgan { image: 32, slope: 0.3, ..Dcgan::default() }),
        optimizer: Optimizer::Sgd { rate: 0.1 },
        k: 1,
        images: Count(3000),
        // Maps of one key each: a struct, so they join.
        every: Every { samples: 7, metrics: 500 },
        precision: Precision::Bf16,
        ema: None,
    };
    assert_eq!(experiment, expected);

    // Back to adam: nothing of the first adam may shine through the sgd between them.
    let experiment = files.resolve(&["optimizer={adam: {rate: 3}}"]);
    assert_eq!(experiment.optimizer, Optimizer::Adam { rate: 3.0, beta1: 0.0 });
    let experiment = files.resolve(&["optimizer.sgd.rate=5", "ema.decay=0.5", "every.metrics=1"]);
    assert_eq!(experiment.optimizer, Optimizer::Sgd { rate: 5.0 });
    assert_eq!(experiment.ema, Some(Ema { decay: 0.5 }));
    assert_eq!(experiment.every, Every { samples: 7, metrics: 1 });
}

#[test]
fn the_resolved_file_resolves_to_the_same() {
    let files = Files::new(&[("x.yaml", "model: {goodfellow: {hidden: [1, 2]}}\nimages: 7k\n")]);
    let experiment = files.resolve(&["ema={decay: 0.999}"]);
    std::fs::write(files.path("x.yaml"), yaml::to_yaml(&experiment)).unwrap();
    assert_eq!(files.resolve(&[]), experiment);
}

#[test]
fn unknown_keys_name_the_nearest_or_all() {
    assert_eq!(
        error("model: {dcgan: {slop: 0.1}}\nimages: 1\n"),
        "x.yaml: unknown key `model.dcgan.slop`; did you mean `slope`?"
    );
    assert_eq!(
        error("model: {dcgan: {zzz: 0.1}}\nimages: 1\n"),
        "x.yaml: unknown key `model.dcgan.zzz`; allowed: `image`, `slope`, `tags`, `final`"
    );
    assert_eq!(
        error("model: {dcgan: {}}\nimags: 1\n"),
        "x.yaml: unknown key `imags`; did you mean `images`?"
    );
    assert_eq!(
        error("model: {dcgan: {}}\nimages: 1\noptimizer: {adam: {rate: 1, betal: 0}}\n"),
        "x.yaml: unknown key `optimizer.adam.betal`; did you mean `beta1`?"
    );
    // `Goodfellow` forgot `deny_unknown_fields`.
    assert_eq!(
        error("model: {goodfellow: {hidden: [], extra: 1}}\nimages: 1\n"),
        "x.yaml: unknown key `model.goodfellow.extra`; nothing is allowed here"
    );
}

#[test]
fn wrong_values_tell_what_was_found_and_expected() {
    let with = |line: &str| error(&format!("model: {{dcgan: {{}}}}\nimages: 1\n{line}\n"));
    assert_eq!(
        with("k: one"),
        "x.yaml: `k`: found the text \"one\", expected a whole number, 0 or more"
    );
    assert_eq!(with("k: -1"), "x.yaml: `k`: found -1, expected a whole number, 0 or more");
    assert_eq!(with("every: 3"), "x.yaml: `every`: found 3, expected a map of keys");
    assert_eq!(
        with("every: [1, 2]"),
        "x.yaml: `every`: found the list [1, 2], expected a map of keys"
    );
    assert_eq!(
        with("precision: f23"),
        "x.yaml: `precision`: unknown choice `f23`; did you mean `f32`?"
    );
    assert_eq!(
        with("optimizer: {adm: {rate: 1}}"),
        "x.yaml: `optimizer`: unknown choice `adm`; did you mean `adam`?"
    );
    assert_eq!(
        with("optimizer: {adam: {rate: 1}, sgd: {rate: 1}}"),
        "x.yaml: `optimizer`: found the map {adam: {rate: 1}, sgd: {rate: 1}}, \
         expected one choice, written `name` or `{name: …}`"
    );
    assert_eq!(
        with("optimizer: adam"),
        "x.yaml: `optimizer`: found the text \"adam\", expected keys below this choice, as in `{name: {…}}`"
    );
    assert_eq!(with("optimizer: {sgd: {}}"), "x.yaml: missing key `optimizer.sgd.rate`");
    assert_eq!(error("images: 1\n"), "x.yaml: missing key `model`");
    assert_eq!(
        error("model: {dcgan: {}}\nimages: 12q\n"),
        "x.yaml: `images`: `12q` is not a count such as 100k"
    );
    assert_eq!(
        error("model: {dcgan: {tags: [1, 256]}}\nimages: 1\n"),
        "x.yaml: `model.dcgan.tags.1`: found 256, expected a whole number from 0 to 255"
    );
}

#[test]
fn errors_name_the_layer() {
    let files = Files::new(&[
        ("base.yaml", "model: {dcgan: {slope: high}}\nimages: 1\n"),
        ("x.yaml", "base: base\nk: 2\n"),
    ]);
    assert_eq!(
        files.error(&[]),
        "base.yaml (base of x.yaml): `model.dcgan.slope`: found the text \"high\", expected a number"
    );
    // An override may repair it, and is then judged by the type alone.
    assert_eq!(files.resolve(&["model.dcgan.slope=0"]).k, 2);
    assert_eq!(
        files.error(&["model.dcgan.slope=0", "k=two"]),
        "--set k=two: `k`: found the text \"two\", expected a whole number, 0 or more"
    );
}

#[test]
fn overrides_must_exist() {
    let files = Files::new(&[("x.yaml", "model: {dcgan: {}}\nimages: 1\n")]);
    assert_eq!(
        files.error(&["model.dcgan.slop=0.1"]),
        "--set model.dcgan.slop=0.1: unknown key `model.dcgan.slop`; did you mean `slope`?"
    );
    // Without this rule the untouched default, adam, would be dropped for an sgd nobody asked for.
    assert_eq!(
        files.error(&["optimizer.sgd.rate=0.1"]),
        "--set optimizer.sgd.rate=0.1: unknown key `optimizer.sgd`: `optimizer` is `adam`; \
         a choice is replaced as a whole, `--set optimizer='{sgd: …}'`"
    );
    assert_eq!(
        files.error(&["k.x=1"]),
        "--set k.x=1: unknown key `k.x`: `k` is 1 and has no keys below it"
    );
    // A key of the default choice exists, though no file mentions it, and the rest of it stays.
    let experiment = files.resolve(&["optimizer.adam.beta1=0.1"]);
    assert_eq!(experiment.optimizer, Optimizer::Adam { rate: 2e-4, beta1: 0.1 });

    let part = json!({"model.dcgan.slop": 0.0});
    let layered = files.layered(&["k=1"]).with_part("variant `relu_in_d`", &part).unwrap();
    assert_eq!(
        files.error_of(&layered),
        "x.yaml: variant `relu_in_d`\n  unknown key `model.dcgan.slop`; did you mean `slope`?"
    );
    let part = json!({"model": {"goodfellow": {"hidden": [3]}}, "k": 4});
    let layered =
        files.layered(&["model.goodfellow.hidden=[5]"]).with_part("variant `mlp`", &part).unwrap();
    let experiment: Experiment = resolve(&layered).unwrap();
    assert_eq!((experiment.model, experiment.k), (Model::Goodfellow { hidden: vec![5] }, 4));
}

#[test]
fn single_files_are_parsed_with_the_same_errors() {
    let files = Files::new(&[("x.yaml", "decay: 0.5\n"), ("y.yaml", "decai: 0.5\n")]);
    assert_eq!(parse::<Ema>(&files.path("x.yaml")).unwrap(), Ema { decay: 0.5 });
    let error = parse::<Ema>(&files.path("y.yaml")).unwrap_err().to_string();
    assert!(error.ends_with("y.yaml: unknown key `decai`; did you mean `decay`?"), "{error}");
}
