//! A stack of untyped values as one serde deserialiser: the type decides how the layers merge.
//!
//! Whether `{sgd: …}` over `{adam: …}` replaces it (a choice) or joins it (a map of keys) cannot be
//! seen in the YAML, but the type knows: serde asks for an enum in the first case and for a struct
//! or a map in the second. So layers are merged while they are read.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What a type did not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A key the type does not have, and those it has.
    UnknownKey(String, Vec<&'static str>),
    /// A choice the type does not have, and those it has.
    UnknownChoice(String, Vec<&'static str>),
    /// A key the type needs.
    Missing(String),
    /// A value of the wrong kind; what was expected.
    Expected(String),
    /// The type's own words.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Fault::Other(message.to_string())
    }

    fn invalid_type(_: Unexpected, expected: &dyn Expected) -> Self {
        Fault::Expected(expected.to_string())
    }

    fn invalid_value(_: Unexpected, expected: &dyn Expected) -> Self {
        Fault::Expected(expected.to_string())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Fault::UnknownChoice(variant.to_owned(), expected.to_vec())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Fault::UnknownKey(field.to_owned(), expected.to_vec())
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::Missing(field.to_owned())
    }
}

/// The values that the layers give to one key, lowest layer first; never empty.
#[derive(Clone)]
pub struct Node<'a>(Vec<&'a Value>);

impl<'a> Node<'a> {
    /// A node of `values`, lowest layer first.
    ///
    /// # Panics
    /// Without a value.
    pub fn new(values: Vec<&'a Value>) -> Node<'a> {
        assert!(!values.is_empty(), "a node has at least one value");
        Node(values)
    }

    fn top(&self) -> &'a Value {
        self.0[self.0.len() - 1]
    }

    /// Maps merged key by key, down to the first layer that has something else here.
    fn merged(&self) -> BTreeMap<&'a str, Node<'a>> {
        let mut keys: BTreeMap<&str, Node> = BTreeMap::new();
        let maps: Vec<_> = self.0.iter().rev().map_while(|value| value.as_object()).collect();
        for (key, value) in maps.into_iter().rev().flatten() {
            keys.entry(key).or_insert_with(|| Node(Vec::new())).0.push(value);
        }
        keys
    }

    fn visit_map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault>
    where
        'a: 'de,
    {
        let mut map = MapDeserializer::new(self.merged().into_iter());
        let value = visitor.visit_map(&mut map)?;
        map.end()?;
        Ok(value)
    }

    fn refuse<T>(&self, expected: &dyn Expected) -> Result<T, Fault> {
        // What was found is told from the document, where the whole value is at hand.
        Err(Fault::invalid_type(Unexpected::Other("value"), expected))
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.top() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => match (n.as_u64(), n.as_i64()) {
                (Some(u), _) => visitor.visit_u64(u),
                (None, Some(i)) => visitor.visit_i64(i),
                (None, None) => {
                    visitor.visit_f64(n.as_f64().expect("a number is a double at least"))
                }
            },
            Value::String(s) => visitor.visit_borrowed_str(s),
            Value::Array(items) => {
                let mut seq = SeqDeserializer::new(items.iter().map(|item| Node(vec![item])));
                let value = visitor.visit_seq(&mut seq)?;
                seq.end()?;
                Ok(value)
            }
            Value::Object(_) => self.visit_map(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.top() {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// A struct is a map; serde's derive would take a list as well and assign it by position.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.top() {
            Value::Object(_) => self.visit_map(visitor),
            _ => self.refuse(&"a map of keys"),
        }
    }

    /// The topmost layer chooses; layers below take part as long as they chose the same.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.top() {
            Value::String(choice) => visitor.visit_enum(choice.as_str().into_deserializer()),
            Value::Object(map) if map.len() == 1 => {
                let choice = map.keys().next().expect("of length 1").as_str();
                let same = self.0.iter().rev().map_while(|value| {
                    let map = value.as_object().filter(|map| map.len() == 1)?;
                    map.get(choice)
                });
                let mut values: Vec<&Value> = same.collect();
                values.reverse();
                let entry = std::iter::once((choice, Node(values)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(entry)))
            }
            _ => self.refuse(&"one choice, written `name` or `{name: …}`"),
        }
    }

    /// Asked only for keys that a type would skip: there are none.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::UnknownKey(String::new(), Vec::new()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier
    }
}
