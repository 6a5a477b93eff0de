//! Where a run is computed, as a file and the command line name it: `auto`, `cpu`, `cuda`, `cuda:1`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Where a run is computed. No step's meaning depends on it, so a run may go on elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceName {
    /// The first GPU that can be used; cores where there is none.
    #[default]
    Auto,
    /// Cores.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

const NAMES: &[&str] = &["auto", "cpu", "cuda", "cuda:0"];

/// What people call a GPU, or all GPUs, elsewhere.
const OTHERS: [&str; 3] = ["gpu", "nvidia", "cuda"];

impl DeviceName {
    /// What may be written.
    pub const EXPECTED: &str = "`auto`, `cpu`, `cuda` or `cuda:N`, where N is the number of a GPU";
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        if let Some(n) = text.strip_prefix("cuda:").and_then(number) {
            return Ok(Self::Cuda(n));
        }
        let hint = meant(text).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        Err(format!("found `{text}`, expected {}{hint}", Self::EXPECTED))
    }
}

/// The name of a GPU that is written as it is elsewhere: `gpu`, `GPU1`, `cuda0`.
fn meant(text: &str) -> Option<String> {
    let plain = text.to_lowercase();
    let rest = OTHERS.iter().find_map(|name| plain.strip_prefix(name))?;
    let number = rest.strip_prefix([':', '-', '_', ' ']).unwrap_or(rest);
    if number.is_empty() {
        return Some("cuda".to_string());
    }
    Some(format!("cuda:{}", number.parse::<usize>().ok()?))
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

impl Serialize for DeviceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = DeviceName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DeviceName::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DeviceName, E> {
                text.parse().map_err(|why| match meant(text) {
                    None if !text.starts_with("cuda:") => E::unknown_variant(text, NAMES),
                    _ => E::custom(why),
                })
            }
        }

        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for DeviceName {
    fn schema_name() -> Cow<'static, str> {
        "DeviceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "auto: the first GPU that can be used, else cores; cpu: cores; cuda or cuda:N: a GPU.",
            "type": "string",
            "pattern": "^(auto|cpu|cuda(:[0-9]+)?)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, device, written) in [
            ("auto", DeviceName::Auto, "auto"),
            ("cpu", DeviceName::Cpu, "cpu"),
            ("cuda", DeviceName::Cuda(0), "cuda:0"),
            ("cuda:0", DeviceName::Cuda(0), "cuda:0"),
            ("cuda:12", DeviceName::Cuda(12), "cuda:12"),
        ] {
            assert_eq!(text.parse(), Ok(device), "{text}");
            assert_eq!(serde_json::to_value(device).unwrap(), written);
            assert_eq!(serde_json::from_value::<DeviceName>(written.into()).unwrap(), device);
        }
    }

    #[test]
    fn names_from_elsewhere_are_understood_and_refused() {
        for (text, name) in [
            ("gpu", "cuda"),
            ("GPU", "cuda"),
            ("Cuda", "cuda"),
            ("cuda:", "cuda"),
            ("gpu:1", "cuda:1"),
            ("cuda1", "cuda:1"),
            ("nvidia", "cuda"),
        ] {
            let error = text.parse::<DeviceName>().unwrap_err();
            let hint = format!(
                "found `{text}`, expected {}; did you mean `{name}`?",
                DeviceName::EXPECTED
            );
            assert_eq!(error, hint);
        }
        for text in ["", "tpu", "cuda:-1", "cuda:1,2", "cuda:99999999999999999999", "cpu:0"] {
            let error = text.parse::<DeviceName>().unwrap_err();
            assert_eq!(error, format!("found `{text}`, expected {}", DeviceName::EXPECTED));
        }
        assert!(serde_json::from_str::<DeviceName>("0").is_err());
    }
}
