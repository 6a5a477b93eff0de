//! A layer: weights, and what follows the product with them.

use super::{Dcgan, NormKind};
use tape::{Init, Network, Norm, Statistics, T, Tape};

/// Weights, and what follows the product with them, up to the activation.
pub(super) struct Layer {
    pub weight: T,
    then: Then,
}

enum Then {
    Norm(Norm),
    /// One number per channel: the shift of the norm that is not there.
    Bias(T),
    Nothing,
}

impl Layer {
    /// What follows the product: x `[…, channels]` → `[…, channels]`.
    #[track_caller]
    pub fn then(&self, t: &Tape, x: T, statistics: Statistics) -> T {
        match &self.then {
            Then::Norm(norm) => t.batch_norm(x, norm, statistics),
            Then::Bias(bias) => t.add_bias(x, *bias),
            Then::Nothing => x,
        }
    }
}

/// Registers the layers of one network, from input to output. Their names become those of the
/// parameters.
pub(super) struct Layers<'a> {
    pub tape: &'a Tape,
    pub model: &'a Dcgan,
    pub network: Network,
    pub norm: NormKind,
}

impl Layers<'_> {
    /// A layer with weights of this shape, whose result has `channels`.
    pub fn hidden(&self, name: &str, weight: &[usize], channels: usize) -> Layer {
        let weight = self.weight(name, weight);
        let then = match self.norm {
            NormKind::Batch => Then::Norm(self.norm(name, channels)),
            NormKind::None => {
                let (name, zero) = (format!("{name}.bias"), Init::Constant(0.0));
                Then::Bias(self.tape.parameter(self.network, &name, [channels], zero))
            }
        };
        Layer { weight, then }
    }

    /// The layer next to the image, which has no norm unless the model says so, and no bias.
    pub fn end(&self, name: &str, weight: &[usize], channels: usize) -> Layer {
        let weight = self.weight(name, weight);
        let normalised = self.model.norm_ends && self.norm == NormKind::Batch;
        let then = if normalised { Then::Norm(self.norm(name, channels)) } else { Then::Nothing };
        Layer { weight, then }
    }

    /// Weights alone.
    pub fn weight(&self, name: &str, shape: &[usize]) -> T {
        let (name, shape) = (format!("{name}.weight"), tape::Shape::new(shape));
        self.tape.parameter(self.network, &name, shape, Init::normal(self.model.init))
    }

    fn norm(&self, name: &str, channels: usize) -> Norm {
        self.tape.norm(self.network, name, channels, self.model.eps)
    }
}
