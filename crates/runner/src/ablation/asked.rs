//! What a YAML with `variants` asks for: typed and checked, every variant of it.

use super::figures::FIGURES;
use crate::cli::Globals;
use crate::command::Failure;
use crate::layers::{self, ConfigError, Layered, Origin};
use crate::nearest::{advice, list};
use crate::target::Purpose;
use crate::{resolve, session, yaml};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use train::Experiment;

/// An ablation that was checked.
pub(crate) struct Ablation {
    /// Its YAML.
    pub file: PathBuf,
    /// What its runs and its table are called.
    pub name: String,
    /// The variant that the others are compared with.
    pub reference: String,
    /// In the order of the file.
    pub variants: Vec<Variant>,
    /// Each variant is trained once with each.
    pub seeds: Vec<u64>,
    /// Columns of the table.
    pub compare: Vec<String>,
}

/// A variant of an ablation.
pub(crate) struct Variant {
    pub name: String,
    /// In what it differs, dotted keys.
    pub overrides: Map<String, Value>,
    /// Base, `set`, `smoke`, the variant's own keys and `--set`, in this order.
    pub layered: Layered,
    /// The same, typed; its seed is of no meaning.
    spec: Experiment,
}

impl Variant {
    /// The experiment with one of the seeds.
    pub fn experiment(&self, seed: u64) -> Experiment {
        Experiment { seed, ..self.spec.clone() }
    }
}

/// An ablation: variants of one experiment, each trained with every seed, and what to compare.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The experiment that all variants build on: its name, looked for beside this file and in the
    /// folder above.
    #[serde(rename = "base")]
    _base: String,
    /// What is different in all variants: dotted keys of an experiment.
    #[serde(default)]
    set: Map<String, Value>,
    /// Each variant is trained once with each.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    seeds: Vec<u64>,
    /// The variant that the others are compared with; the first by default.
    #[serde(default)]
    reference: Option<String>,
    /// In what each variant differs: dotted keys of an experiment. Nothing for none.
    #[schemars(extend("minProperties" = 1))]
    variants: BTreeMap<String, Option<Map<String, Value>>>,
    /// Figures of `metrics.jsonl`, a column of the table each.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "items" = { "enum": FIGURES }))]
    compare: Vec<String>,
    /// What makes it small enough for minutes: dotted keys of an experiment, and `seeds`.
    #[serde(default)]
    smoke: Option<Map<String, Value>>,
}

/// The keys that an experiment does not have.
const KEYS: [&str; 6] = ["set", "seeds", "reference", "variants", "compare", "smoke"];

/// Whether a file is an ablation and not one experiment.
pub(crate) fn is_ablation(file: &Path) -> Result<bool, ConfigError> {
    Ok(layers::read_map(file)?.get("variants").is_some())
}

/// What those say who expected one experiment.
pub(crate) fn refuse_ablation(layered: &Layered) -> Result<(), ConfigError> {
    let above = layered.layers().iter().find(|layer| layer.value.get("variants").is_some());
    let Some(layer) = above else { return Ok(()) };
    let file = layered.file().display();
    let message = match layer.origin {
        Origin::File(_) => format!(
            "this is an ablation (it has `variants`): `duel ablate {file}` runs it, and with `--dry-run` \
             tells what it costs"
        ),
        _ => "this is an ablation (it has `variants`), and one experiment is expected here"
            .to_owned(),
    };
    Err(ConfigError { place: layer.origin.place(), message })
}

impl Ablation {
    /// Reads an ablation, at its own size or at the size of its `smoke`.
    ///
    /// # Errors
    /// Files that are no ablation; and whatever is wrong with any of its variants.
    pub fn load(file: &Path, sets: &[String], smoke: bool) -> Result<Self, ConfigError> {
        let fail = |message: String| ConfigError::in_file(file, message);
        if !is_ablation(file)? {
            return Err(fail(format!(
                "found no `variants`, expected an ablation: keys `base`, `seeds`, `variants` and `compare`; \
                 one experiment is trained with `duel train {}`",
                file.display()
            )));
        }
        let mut asked: Asked = resolve::parse(file)?;
        if !smoke && asked.smoke.is_some() {
            // A mistake in it is told before the hours that it would have spared.
            Self::load(file, sets, true)?;
        }
        let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
        let order = yaml::order(&text, "variants");
        let mut name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut shrunk = Map::new();
        if smoke {
            shrunk = asked.smoke.take().ok_or_else(|| {
                fail(
                    "no `smoke`; write what makes it small there, such as `smoke: { images: 6k }`"
                        .into(),
                )
            })?;
            if let Some(seeds) = shrunk.remove("seeds") {
                asked.seeds = serde_json::from_value(seeds.clone()).map_err(|_| {
                    let found = yaml::inline(&seeds);
                    fail(format!("`smoke.seeds`: found {found}, expected a list of whole numbers"))
                })?;
            }
            name += "_smoke";
        }
        asked.check(&order).map_err(fail)?;

        let mut layered = layers::load(file, sets)?;
        let mut below =
            layered.layers().iter().filter(|layer| layer.origin != Origin::File(file.into()));
        if let Some(base) = below.find(|layer| layer.value.get("variants").is_some()) {
            let message =
                "this is an ablation (it has `variants`); name the experiment below it as base";
            return Err(ConfigError { place: base.origin.place(), message: message.to_owned() });
        }
        for key in KEYS {
            layered.take(key);
        }
        for (part, keys) in [("`set`", asked.set), ("`smoke`", shrunk)] {
            if !keys.is_empty() {
                layered = layered.with_part(part, &Value::Object(keys))?;
            }
        }
        let mut variants = Vec::new();
        for name in &order {
            let overrides = asked.variants.remove(name).flatten().unwrap_or_default();
            variants.push(Variant::new(name, overrides, &layered)?);
        }
        let reference = asked.reference.unwrap_or_else(|| order[0].clone());
        let (file, seeds, compare) = (file.to_owned(), asked.seeds, asked.compare);
        Ok(Self { file, name, reference, variants, seeds, compare })
    }
}

impl Ablation {
    /// Settles where its variants are computed, and in what precision.
    ///
    /// # Errors
    /// A device that is not there, a precision that it does not have.
    pub fn settle(&mut self, globals: &Globals) -> Result<(), Failure> {
        for Variant { name, layered, spec, .. } in &mut self.variants {
            let target = session::target(layered, spec, Purpose::Begin, globals);
            target.map_err(|error| within(&self.file, name, error))?.settle(spec);
        }
        Ok(())
    }
}

impl Asked {
    /// What the types do not say. `order` holds the variants' names.
    fn check(&self, order: &[String]) -> Result<(), String> {
        if order.is_empty() {
            return Err(
                "`variants`: found none, expected one or more, such as `reference: {}`".into()
            );
        }
        for name in order {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                return Err(format!(
                    "variant `{name}`: a folder is named after it; use letters, digits, `_` and `-`"
                ));
            }
        }
        if let Some(reference) = self.reference.as_ref().filter(|name| !order.contains(name)) {
            let names = order.iter().map(String::as_str);
            let near = advice(reference, names);
            return Err(format!("`reference`: no variant `{reference}`{near}"));
        }
        match twice(&self.seeds) {
            None => {}
            Some(seed) => {
                return Err(format!(
                    "`seeds`: found {seed} twice, expected each seed once: equal seeds give equal runs"
                ));
            }
        }
        if self.seeds.is_empty() {
            return Err("`seeds`: found none, expected one or more, such as [0, 1, 2]".into());
        }
        if self.compare.is_empty() {
            let all = list(&FIGURES);
            return Err(format!("`compare`: found none, expected one or more of {all}"));
        }
        for key in &self.compare {
            if !FIGURES.contains(&key.as_str()) {
                return Err(format!("`compare`: unknown figure `{key}`{}", advice(key, FIGURES)));
            }
        }
        match twice(&self.compare) {
            Some(key) => Err(format!("`compare`: found `{key}` twice, expected each figure once")),
            None => Ok(()),
        }
    }
}

/// The first that occurs again.
fn twice<T: PartialEq>(all: &[T]) -> Option<&T> {
    all.iter().enumerate().find(|(i, one)| all[..*i].contains(one)).map(|(_, one)| one)
}

impl Variant {
    fn new(
        name: &str,
        overrides: Map<String, Value>,
        below: &Layered,
    ) -> Result<Self, ConfigError> {
        let layered = below.with_part(&format!("variant `{name}`"), &json!(overrides))?;
        let spec = experiment(&layered).map_err(|error| match experiment(below) {
            // It is not the variant's doing.
            Err(same) if same == error => error,
            _ => within(below.file(), name, error),
        })?;
        Ok(Self { name: name.to_owned(), overrides, layered, spec })
    }
}

/// Types and checks an experiment whose seed is not its own.
fn experiment(layered: &Layered) -> Result<Experiment, ConfigError> {
    if let Some(Origin::Part { .. } | Origin::Set(_)) = layered.origin("seed") {
        return Err(
            layered.refuse("seed", "`seed`: each run has one of `seeds`; leave it out here")
        );
    }
    session::experiment(layered)
}

/// An error about a variant names it, whichever layer the value is from.
pub(crate) fn within(file: &Path, variant: &str, error: impl Display) -> ConfigError {
    let place = format!("{}: variant `{variant}`\n  ", file.display());
    let told = error.to_string();
    let message = told.strip_prefix(&place).unwrap_or(&told).to_owned();
    ConfigError { place, message }
}
