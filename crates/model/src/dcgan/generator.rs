//! G, as in figure 1: z is projected to small images of many features, and each layer doubles their
//! side and halves their features.

use super::layer::{Layer, Layers};
use super::{ActivationG, Dcgan, INNER, Squash, Up};
use tape::{Network, Statistics, T, Tape};

/// The registered parameters of G.
pub(crate) struct Generator {
    model: Dcgan,
    hidden: Option<Layer>,
    project: Layer,
    up: Vec<Layer>,
    to_image: Layer,
}

impl Generator {
    pub fn new(tape: &Tape, model: &Dcgan, network: Network) -> Self {
        let layers = Layers { tape, model, network, norm: model.norm_g };
        let units = model.hidden_fc;
        let hidden = (units > 0).then(|| layers.hidden("hidden", &[model.latent, units], units));
        let from = if units > 0 { units } else { model.latent };
        let mut channels = model.innermost();
        let project = layers.hidden("0", &[from, INNER * INNER * channels], channels);
        let mut up = Vec::new();
        while channels > model.width {
            let name = (up.len() + 1).to_string();
            up.push(layers.hidden(&name, &widening(model, channels, channels / 2), channels / 2));
            channels /= 2;
        }
        let name = (up.len() + 1).to_string();
        let to_image =
            layers.end(&name, &widening(model, channels, model.channels), model.channels);
        Self { model: model.clone(), hidden, project, up, to_image }
    }

    /// z `[n, latent]` → images `[n, image, image, channels]` in the range of the output.
    pub fn generate(&self, t: &Tape, z: T, statistics: Statistics) -> T {
        let n = t.shape(z).rows();
        let mut x = z;
        if let Some(layer) = &self.hidden {
            x = t.matmul(x, layer.weight); // [n, hidden_fc]
            x = self.activate(t, layer.then(t, x, statistics));
        }
        x = t.matmul(x, self.project.weight); // [n, 4·4·C]
        x = t.reshape(x, [n, INNER, INNER, self.model.innermost()]); // [n, 4, 4, C]
        x = self.activate(t, self.project.then(t, x, statistics));
        for layer in &self.up {
            x = self.widen(t, x, layer.weight); // [n, 2s, 2s, c/2]
            x = self.activate(t, layer.then(t, x, statistics));
        }
        x = self.widen(t, x, self.to_image.weight); // [n, image, image, channels]
        x = self.to_image.then(t, x, statistics);
        match self.model.output {
            Squash::Tanh => t.tanh(x),
            Squash::Sigmoid => t.sigmoid(x),
        }
    }

    /// `[n, s, s, c]` → `[n, 2s, 2s, features of the weights]`.
    #[track_caller]
    fn widen(&self, t: &Tape, x: T, weight: T) -> T {
        match self.model.up {
            Up::Fractional => t.dgrad(x, weight, self.model.window(2)),
            Up::Nearest => t.fprop(t.upsample(x), weight, self.model.window(1)),
        }
    }

    #[track_caller]
    fn activate(&self, t: &Tape, x: T) -> T {
        match self.model.activation_g {
            ActivationG::Relu => t.relu(x),
            ActivationG::Tanh => t.tanh(x),
            ActivationG::LeakyRelu => t.leaky_relu(x, self.model.slope),
        }
    }
}

/// Weights from `c` to `k` channels: a transposed convolution has those of the convolution from its
/// result to its operand.
fn widening(model: &Dcgan, c: usize, k: usize) -> [usize; 4] {
    match model.up {
        Up::Fractional => [c, model.kernel, model.kernel, k],
        Up::Nearest => [k, model.kernel, model.kernel, c],
    }
}
