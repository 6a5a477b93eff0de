//! `duel schema` says what the binary accepts: no less, and of what a schema can say no more.

use super::DUEL;
use jsonschema::Validator;
use runner::{layers, resolve, yaml};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tests::duel::{DCGAN, GOODFELLOW, Place};
use train::Experiment;

fn schema(of: &str) -> Value {
    let text = Place::new(DUEL).duel(&format!("schema {of}")).fine();
    serde_json::from_str(&text).expect("JSON")
}

fn validator(of: &str) -> Validator {
    jsonschema::draft202012::new(&schema(of)).expect("a schema of draft 2020-12")
}

fn files(below: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(below);
    let entries = std::fs::read_dir(folder).expect("experiments are there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect()
}

#[track_caller]
fn accepted(validator: &Validator, text: &str) {
    let document = yaml::from_str(text).expect("YAML");
    let errors: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {text}");
}

/// The files of a folder are all right.
#[track_caller]
fn all_accepted(validator: &Validator, folder: &str) {
    let files = files(folder);
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        accepted(validator, &std::fs::read_to_string(&file).expect("text"));
    }
}

#[test]
fn every_experiment_is_valid() {
    let validator = validator("experiment");
    all_accepted(&validator, "experiments");
    for text in [
        DCGAN,
        GOODFELLOW,
        "base: x\nmodel: {dcgan: {down: max_pool, norm_ends: true}}\nobjective: {relativistic: {}}\n",
        "base: dcgan_fashion\nmodel: {dcgan: {slope: 0.1}}\n",
        "base: x\noptimizer: {generator: {sgd: {momentum: {to: 0.7}}}}\ndata: {images: {pad: 2}}\n",
        "base: x\nimages: 1e6\nevery: {report: 0.5k}\nema: null\n",
    ] {
        accepted(&validator, text);
    }
}

#[test]
fn every_ablation_is_valid() {
    let validator = validator("ablation");
    all_accepted(&validator, "experiments/ablations");
    let right = "base: x\nseeds: [0]\nvariants: {reference: }\ncompare: [value]\n";
    accepted(&validator, right);
    for [from, to] in [
        ["base: x\n", ""],
        ["[0]", "[]"],
        ["[0]", "[1, 1]"],
        ["[0]", "[-1]"],
        ["{reference: }", "{}"],
        ["{reference: }", "{reference: 3}"],
        ["[value]", "[valu]"],
        ["[value]", "[value, value]"],
        ["seeds", "seed"],
    ] {
        let text = right.replace(from, to);
        assert_ne!(text, right);
        let document = yaml::from_str(&text).expect("YAML");
        assert!(!validator.is_valid(&document), "{text}");
    }
}

/// Each of these is refused by the binary and underlined by an editor.
#[test]
fn what_the_binary_refuses_is_not_valid() {
    let validator = validator("experiment");
    let place = Place::furnished(DUEL);
    let with = |line: &str| format!("{DCGAN}{line}\n");
    let wrong = [
        with("btach: 8"),
        with("k: many"),
        with("k: -1"),
        with("k: 1.5"),
        DCGAN.replace("ema: 0.9", "ema: high"),
        with("seed: [1]"),
        with("objective: hing"),
        with("objective: wasserstein"),
        with("objective: {wasserstein: {penalti: 1}}"),
        with("objective: {minimax: {}}"),
        with("schedule: {algorithm1: 2}"),
        with("precision: f16"),
        with("sampling_statistics: true"),
        with("optimizer: {generator: {adam: {betal: 0.5}}}"),
        with("optimizer: {generator: {adam: {beta1: half}}}"),
        with("optimizer: {generator: {rmsprop: {}}}"),
        with("optimizer: {both: {adam: {}}}"),
        with("optimizer: {generator: {sgd: {momentum: {form: 0.5}}}}"),
        with("optimizer: {generator: {adam: {}, sgd: {}}}"),
        DCGAN.replace("960", "960K"),
        DCGAN.replace("report: 112", "raport: 112"),
        DCGAN.replace("report: 112", "report: often"),
        DCGAN.replace("dcgan", "dgcan"),
        DCGAN.replace("latent: 8", "latent: 8, slop: 0.1"),
        DCGAN.replace("latent: 8", "latent: eight"),
        DCGAN.replace("latent: 8", "noise: gaussian"),
        DCGAN.replace("flip: true", "flip: 1"),
        DCGAN.replace("set: tiny", "set: [tiny]"),
        DCGAN.replace("images: 960", ""),
        DCGAN.replace("\nmodel", "\nmodels"),
        GOODFELLOW.replace("[24]", "24"),
        GOODFELLOW.replace("maxout: [16, 16]", "maxout: [16, -1]"),
    ];
    for text in wrong {
        place.write("x.yaml", &text);
        place.duel("train x.yaml --dry-run").refused();
        let document = yaml::from_str(&text).expect("YAML");
        assert!(!validator.is_valid(&document), "the schema accepts {text}");
    }
}

/// What a key may hold: itself where it is a struct, else its alternatives.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Map<String, Value>> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").expect("a definition of this schema");
        return alternatives(root, &root["$defs"][name]);
    }
    let choices = ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array());
    let below = choices.flatten().flat_map(|choice| alternatives(root, choice));
    let own = schema.get("properties").and_then(Value::as_object);
    below.chain(own).collect()
}

fn compare(root: &Value, schema: &Value, value: &Value, at: &str) {
    let Value::Object(map) = value else { return };
    let keys: BTreeSet<&String> = map.keys().collect();
    let candidates = alternatives(root, schema);
    let fits =
        candidates.iter().find(|properties| keys.iter().all(|k| properties.contains_key(*k)));
    let properties = fits.unwrap_or_else(|| panic!("{at}: {keys:?} are not in the schema"));
    for (key, below) in properties.iter() {
        let at = format!("{at}.{key}");
        assert!(at == ".base" || keys.contains(key), "{at}: the experiment has no such key");
        let told = below["description"].as_str().is_some_and(|text| !text.is_empty());
        // A choice is told of where it stands.
        assert!(told || properties.len() == 1, "{at} is not described");
        if let Some(value) = map.get(key) {
            compare(root, below, value, &at);
        }
    }
}

#[test]
fn keys_are_those_of_a_resolved_experiment() {
    let schema = schema("experiment");
    let place = Place::furnished(DUEL);
    for file in files("experiments").into_iter().chain([place.path("goodfellow.yaml")]) {
        let layered = layers::load(&file, &["ema=0.5".to_string()]).expect("it is read");
        let spec: Experiment = resolve::resolve(&layered).expect("it is right");
        compare(&schema, &schema, &serde_json::to_value(&spec).expect("JSON"), "");
    }
    assert_eq!(schema["properties"]["k"]["default"], 1);
    assert_eq!(schema["properties"]["every"]["default"]["report"], 10_000);
}
