//! YAML text to untyped values and back. No other file knows which YAML library this is.

use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A mistake in the YAML itself, before any meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct SyntaxError {
    /// Line and column, from 1, where the parser knows them.
    pub at: Option<(usize, usize)>,
    /// What is wrong there.
    pub message: String,
}

impl SyntaxError {
    fn place(&self) -> String {
        match self.at {
            Some((line, column)) => format!("line {line}, column {column}: "),
            None => String::new(),
        }
    }
}

/// Parses one document. Duplicate keys, keys that are not strings, tags and numbers that are not
/// finite are errors, since each of them would otherwise be lost in silence.
///
/// # Errors
/// The first mistake, with its line and column.
pub fn from_str(text: &str) -> Result<Value, SyntaxError> {
    serde_yaml::from_str::<Document>(text).map(|document| document.0).map_err(|error| {
        let at = error.location().map(|l| (l.line(), l.column()));
        let mut message = error.to_string();
        if let Some((line, column)) = at {
            // The place is told once, in front.
            message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
        }
        SyntaxError { at, message }
    })
}

/// The keys of the map below `key` of the outermost level, in the order in which they are written,
/// which a [`Value`] does not keep. None of a text that has no such map.
pub fn order(text: &str, key: &str) -> Vec<String> {
    let outer: Result<BTreeMap<String, Below>, _> = serde_yaml::from_str(text);
    match outer.ok().and_then(|mut outer| outer.remove(key)) {
        Some(Below::Map(Keys(keys))) => keys,
        _ => Vec::new(),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Below {
    Map(Keys),
    Other(IgnoredAny),
}

/// The keys of a map.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, _)) = access.next_entry::<String, IgnoredAny>()? {
            keys.push(key);
        }
        Ok(Keys(keys))
    }
}

/// Writes a value as YAML: fields in the order of their declaration, enums as one-key maps.
///
/// # Panics
/// When the value cannot be written (a map whose keys are not scalars): our fault, not the user's.
pub fn to_yaml(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_yaml::Serializer::new(&mut out);
    serde_yaml::with::singleton_map_recursive::serialize(value, &mut serializer)
        .expect("settings are maps, lists and scalars");
    drop(serializer);
    String::from_utf8(out).expect("YAML is UTF-8")
}

/// A value on one line, as it could stand in a file: for messages.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(s) => format!("{s:?}"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(k, v)| format!("{k}: {}", inline(v))).collect();
            format!("{{{}}}", items.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// A `Value` with the checks of [`from_str`].
struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor).map(Document)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    /// An empty document.
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format!("`{v}` is not a finite number")))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Document(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(NewKey(&map))? {
            let Document(value) = access.next_value()?;
            map.insert(key, value);
        }
        Ok(map.into())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("tags (`!name`) mean nothing here; write `{name: …}`"))
    }
}

/// A key that is not in the map yet. The check sits in the key's own visit, where the parser still
/// knows the key's line and column.
struct NewKey<'a>(&'a Map<String, Value>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name as key (put quotes around it)")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.0.contains_key(key) {
            return Err(E::custom(format!("duplicate key `{key}`")));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parses_what_experiments_use() {
        let text = "a: {b: 2.0e-4, c: [1, -2], d: 15M}\ne: true\nf:\n";
        let value = json!({"a": {"b": 2.0e-4, "c": [1, -2], "d": "15M"}, "e": true, "f": null});
        assert_eq!(from_str(text).unwrap(), value);
        assert_eq!(from_str("# nothing\n").unwrap(), json!(null));
    }

    #[test]
    fn keys_keep_their_order() {
        let text = "seeds: [0]\nvariants: {zero: {}, b: {x.y: [1]}, a: , 'on': {c: {d: 1}}}\n";
        assert_eq!(order(text, "variants"), ["zero", "b", "a", "on"]);
        assert!(order(text, "seeds").is_empty() && order(text, "other").is_empty());
    }

    fn mistake(text: &str) -> (Option<(usize, usize)>, String) {
        let error = from_str(text).unwrap_err();
        (error.at, error.message)
    }

    #[test]
    fn mistakes_have_line_and_column() {
        let (at, message) = mistake("model:\n  slope: 1\n  width: 2\n  slope: 3\n");
        assert_eq!(at, Some((4, 3)));
        assert_eq!(message, "model: duplicate key `slope`");

        let (at, message) = mistake("a: 1\nb: {c: 1, d\ne: 2\n");
        assert_eq!(at.unwrap().0, 3, "{message}");

        let (at, message) = mistake("a: 1\nb: .inf\n");
        assert_eq!((at, message.as_str()), (Some((2, 4)), "b: `inf` is not a finite number"));

        let (at, message) = mistake("a: 1\n7: 2\n");
        assert_eq!(at, Some((2, 1)));
        assert!(message.contains("put quotes around it"), "{message}");

        let (at, message) = mistake("a: !adam {rate: 1}\n");
        assert_eq!(at.map(|a| a.0), Some(1));
        assert!(message.contains("write `{name: …}`"), "{message}");
    }

    #[derive(Serialize)]
    struct Settings {
        zeta: f32,
        alpha: Choice,
        list: Vec<u8>,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        Adam { rate: f64 },
    }

    #[test]
    fn writes_fields_in_order_and_enums_as_maps() {
        let settings = Settings { zeta: 0.2, alpha: Choice::Adam { rate: 2e-4 }, list: vec![1, 2] };
        let text = to_yaml(&settings);
        assert_eq!(text, "zeta: 0.2\nalpha:\n  adam:\n    rate: 0.0002\nlist:\n- 1\n- 2\n");
        assert_eq!(from_str(&text).unwrap()["alpha"]["adam"]["rate"], json!(2e-4));
    }
}
