//! JSON schemas (draft 2020-12) of what people write, derived from the types that read it.

use crate::ablation::asked::Asked;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use train::Experiment;

/// The schema of an experiment's YAML.
pub fn experiment() -> Value {
    let mut schema = of::<Experiment>();
    let base = json!({
        "type": "string",
        "description": "Another experiment that this one builds on: its name, looked for beside this file \
                        and in the folder above.",
    });
    let document = schema.as_object_mut().expect("a struct is described by an object");
    // Whoever builds on a file may leave out what is said there.
    let needed = document.remove("required").unwrap_or_else(|| json!([]));
    document.insert("anyOf".to_string(), json!([{"required": ["base"]}, {"required": needed}]));
    let properties = document.get_mut("properties").and_then(Value::as_object_mut);
    properties.expect("a struct has properties").insert("base".to_string(), base);
    schema
}

/// The schema of an ablation's YAML.
pub fn ablation() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Asked>().to_value()
}

/// The schema of a type, with nothing required below the outermost level: a layer below may have
/// said it.
fn of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    if let Some(document) = schema.as_object_mut() {
        let outermost = document.remove("required");
        document.values_mut().for_each(|value| relax(value, false));
        document.extend(outermost.map(|required| ("required".to_string(), required)));
    }
    schema
}

/// Takes `required` away, but for the one name of a choice.
fn relax(schema: &mut Value, is_choice: bool) {
    match schema {
        Value::Object(map) => {
            let is_list = |value: &Value| value.is_array();
            if !is_choice && map.get("required").is_some_and(is_list) {
                map.remove("required");
            }
            relax_all(map);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relax(item, false)),
        _ => {}
    }
}

fn relax_all(map: &mut Map<String, Value>) {
    for (key, value) in map {
        match (key.as_str(), value) {
            ("oneOf", Value::Array(choices)) => {
                choices.iter_mut().for_each(|choice| relax(choice, true));
            }
            (_, value) => relax(value, false),
        }
    }
}
