//! Precision of a run, as a device takes it.

use crate::builder::Math;
use tape::{Fusion, Options};

/// How numbers are stored and multiplied. Sums, statistics, master weights and optimisers are f32 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32 throughout.
    F32,
    /// f32, with operands of products rounded to tf32 on tensor cores.
    Tf32,
    /// Activations and operands of products in bf16.
    Bf16,
}

impl Precision {
    /// Its name in a YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// How products are computed.
    pub fn math(self) -> Math {
        match self {
            Self::F32 => Math::F32,
            Self::Tf32 => Math::Tf32,
            Self::Bf16 => Math::Bf16,
        }
    }

    /// How a tape is compiled for it: convolutions read memory as it lies, because operands are copied
    /// into shared memory without passing through registers.
    pub fn options(self) -> Options {
        Options { fusion: Fusion::Results, narrow: self == Self::Bf16 }
    }
}
