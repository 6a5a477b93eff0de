//! Counts of images: `60000`, `100k`, `1.5M`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A whole number that may be written with a suffix: `k` thousands, `M` millions, `G` billions. It
/// is written back as a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("found `{text}`, expected a count such as 60000, 100k or 1.5M");
        let (digits, zeros) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 3),
            Some(b'M') => (&text[..text.len() - 1], 6),
            Some(b'G') => (&text[..text.len() - 1], 9),
            _ => (text, 0),
        };
        // By digits, so that no count is rounded: 1.234567M has six decimals and stays whole.
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(part) {
            return Err(refuse());
        }
        let part = part.trim_end_matches('0');
        if part.len() > zeros {
            return Err(format!("found `{text}`, expected a whole number"));
        }
        format!("{whole}{part:0<zeros$}")
            .parse()
            .map(Self)
            .map_err(|_| format!("found `{text}`, expected a count below 2^64"))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count such as 60000, 100k or 1.5M")
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Count, E> {
                Ok(Count(n))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Count, E> {
                u64::try_from(n)
                    .map(Count)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(n), &self))
            }

            /// `1e6` is a float to YAML.
            fn visit_f64<E: de::Error>(self, x: f64) -> Result<Count, E> {
                if x >= 0.0 && x.fract() == 0.0 && x <= 2.0_f64.powi(53) {
                    return Ok(Count(x as u64));
                }
                Err(E::invalid_value(de::Unexpected::Float(x), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number; text may end in k, M or G, as in 100k or 1.5M.",
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^[0-9]+(\\.[0-9]+)?[kMG]?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        for (text, n) in [
            ("60000", 60_000),
            ("100k", 100_000),
            ("15M", 15_000_000),
            ("1.5M", 1_500_000),
            ("0.25k", 250),
            ("1.234567M", 1_234_567),
            ("2G", 2_000_000_000),
            ("1.50k", 1_500),
        ] {
            assert_eq!(text.parse(), Ok(Count(n)), "{text}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for text in [
            "",
            "k",
            "-1",
            "1.5",
            "1.2345k",
            "1 k",
            "1K",
            "ten",
            ".5M",
            "1.M",
            "+3",
            "99999999999999999999",
        ] {
            let error = text.parse::<Count>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{text}: {error}");
        }
    }

    #[test]
    fn counts_are_written_as_numbers() {
        let counts: Vec<Count> = serde_json::from_str(r#"["100k", 7, 1e6]"#).unwrap();
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(text, "[100000,7,1000000]");
        for json in ["-3", "1.5", "true", r#""1.5""#] {
            assert!(serde_json::from_str::<Count>(json).is_err(), "{json}");
        }
    }
}
