//! From layers to a typed experiment, with errors in the words of the file.

use crate::layers::{ConfigError, Layer, Layered, Origin, lookup, read_map};
use crate::nearest::advice;
use crate::node::{Fault, Node};
use crate::yaml;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path as FaultPath, Segment};
use std::path::Path;

/// Types an experiment. Maps merge key by key, layer by layer; where the type has a choice (an
/// enum), the topmost layer chooses and layers that chose otherwise drop out.
///
/// A key that a `--set` or a part overrides must exist in the experiment as it is without it,
/// defaults included (so `T` must write all its fields); a choice is replaced as a whole,
/// `--set optimizer='{sgd: {rate: 0.1}}'`.
///
/// # Errors
/// Unknown and missing keys, wrong types, unknown choices, and whatever the types of single values
/// refuse: with the layer that set the value, its dotted key, what was found and what is allowed.
pub fn resolve<T: DeserializeOwned + Serialize>(layered: &Layered) -> Result<T, ConfigError> {
    let mut defaults = None;
    for (height, layer) in layered.layers().iter().enumerate() {
        if layer.overridden.is_empty() {
            continue;
        }
        // Below a layer that must repair the experiment there is nothing to check it against.
        if let Ok(below) = read::<T>(&layered.lowest(height), defaults.as_ref()) {
            let document =
                serde_json::to_value(&below).map_err(|error| layered.refuse("", error))?;
            check_override(layer, &document)?;
            // With it as the lowest layer, `--set optimizer.adam.beta1=0` changes that one value
            // also where the other values of `adam` are defaults that no file mentions.
            defaults = Some(document);
        }
    }
    read(layered, defaults.as_ref())
}

/// Reads a single typed file, such as a data set's recipe.
///
/// # Errors
/// As [`resolve`].
pub fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let layer = Layer {
        origin: Origin::File(path.to_owned()),
        value: read_map(path)?,
        overridden: Vec::new(),
    };
    read(&Layered::single(path, layer), None)
}

fn read<T: DeserializeOwned>(
    layered: &Layered,
    defaults: Option<&Value>,
) -> Result<T, ConfigError> {
    let layers = layered.layers().iter().map(|layer| &layer.value);
    let node = Node::new(defaults.into_iter().chain(layers).collect());
    serde_path_to_error::deserialize(node).map_err(|error| {
        let path = segments(error.path());
        explain(layered, path, error.into_inner())
    })
}

/// The keys, indices and choices on the way to a fault.
fn segments(path: &FaultPath) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

fn explain(layered: &Layered, mut path: Vec<String>, fault: Fault) -> ConfigError {
    let message = match fault {
        Fault::UnknownKey(key, allowed) => {
            if path.last() != Some(&key) && !key.is_empty() {
                path.push(key);
            }
            let key = path.last().cloned().unwrap_or_default();
            format!("unknown key `{}`{}", path.join("."), advice(&key, allowed))
        }
        Fault::Missing(key) => {
            path.push(key);
            format!("missing key `{}`", path.join("."))
        }
        Fault::UnknownChoice(choice, allowed) => {
            if path.last() == Some(&choice) {
                path.pop();
            }
            format!("`{}`: unknown choice `{choice}`{}", path.join("."), advice(&choice, allowed))
        }
        Fault::Expected(expected) => {
            // A fault inside a choice that was written as its bare name belongs to the choice.
            while found(layered, &path).is_none() && path.pop().is_some() {}
            let found = found(layered, &path).map_or("nothing".to_owned(), told);
            format!("{}found {found}, expected {}", front(&path), plain(&expected))
        }
        Fault::Other(message) => format!("{}{message}", front(&path)),
    };
    layered.refuse(&path.join("."), message)
}

fn front(path: &[String]) -> String {
    if path.is_empty() { String::new() } else { format!("`{}`: ", path.join(".")) }
}

fn found<'a>(layered: &'a Layered, path: &[String]) -> Option<&'a Value> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    layered.layers().iter().rev().find_map(|layer| lookup(&layer.value, &path))
}

/// A value and its kind: a number in quotes should look like one.
fn told(value: &Value) -> String {
    let shown: String = yaml::inline(value);
    let kind = match value {
        Value::Null => return "nothing (null)".to_owned(),
        Value::Bool(_) | Value::Number(_) => return shown,
        Value::String(_) => "the text",
        Value::Array(_) => "the list",
        Value::Object(_) => "the map",
    };
    let short: String = shown.chars().take(60).collect();
    format!("{kind} {short}{}", if short.len() < shown.len() { "…" } else { "" })
}

/// Serde's names for Rust's types, in the words of a YAML file.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "unit" | "unit variant" => "nothing below this choice; write its name alone",
        "newtype variant" | "struct variant" | "tuple variant" => {
            "keys below this choice, as in `{name: {…}}`"
        }
        other => other,
    }
}

fn check_override(layer: &Layer, document: &Value) -> Result<(), ConfigError> {
    for key in &layer.overridden {
        let mut here = document;
        let mut walked: Vec<&str> = Vec::new();
        for segment in key.split('.') {
            let place = walked.join(".");
            let message = match here {
                // An optional block that is off: what may stand below, the type says.
                Value::Null => break,
                Value::Object(map) => {
                    if let Some(below) = map.get(segment) {
                        here = below;
                        walked.push(segment);
                        continue;
                    }
                    let allowed: Vec<&str> = map.keys().map(String::as_str).collect();
                    walked.push(segment);
                    let unknown = format!("unknown key `{}`", walked.join("."));
                    match allowed[..] {
                        [only] if !place.is_empty() && map[only].is_object() => format!(
                            "{unknown}: `{place}` is `{only}`; a choice is replaced as a whole, \
                             `--set {place}='{{{segment}: …}}'`"
                        ),
                        _ => format!("{unknown}{}", advice(segment, allowed.iter().copied())),
                    }
                }
                value => {
                    walked.push(segment);
                    let found = yaml::inline(value);
                    format!(
                        "unknown key `{}`: `{place}` is {found} and has no keys below it",
                        walked.join(".")
                    )
                }
            };
            return Err(ConfigError { place: layer.origin.place(), message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
