//! The noise z that G maps to samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tape::Law;

/// Distribution of each coordinate of z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// Uniform.
    Uniform,
    /// Normal.
    Normal,
}

impl Noise {
    /// Uniform on [−range, range), or normal with standard deviation `range`.
    pub(crate) fn law(self, range: f64) -> Law {
        match self {
            Self::Uniform => Law::Uniform { low: -range, high: range },
            Self::Normal => Law::Normal { mean: 0.0, std: range },
        }
    }
}
