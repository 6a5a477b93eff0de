//! D, the mirror of figure 1: each layer halves the side of the images and doubles their features.

use super::layer::{Layer, Layers};
use super::{ActivationD, Dcgan, Down, INNER};
use tape::{Network, Statistics, T, Tape};

/// The registered parameters of D.
pub(crate) struct Discriminator {
    model: Dcgan,
    down: Vec<Layer>,
    hidden: Option<Layer>,
    logit: T,
}

impl Discriminator {
    pub fn new(tape: &Tape, model: &Dcgan, network: Network) -> Self {
        let layers = Layers { tape, model, network, norm: model.norm_d };
        let pieces = match model.activation_d {
            ActivationD::LeakyRelu => 1,
            ActivationD::Maxout => model.pieces,
        };
        let (k, innermost) = (model.kernel, model.innermost());
        let mut channels = model.width;
        let features = pieces * channels;
        let mut down = vec![layers.end("0", &[features, k, k, model.channels], features)];
        while channels < innermost {
            let (name, features) = (down.len().to_string(), pieces * 2 * channels);
            down.push(layers.hidden(&name, &[features, k, k, channels], features));
            channels *= 2;
        }
        let (flat, units) = (INNER * INNER * innermost, model.hidden_fc);
        let columns = pieces * units;
        let hidden = (units > 0).then(|| layers.hidden("hidden", &[flat, columns], columns));
        let from = if units > 0 { units } else { flat };
        let logit = layers.weight(&down.len().to_string(), &[from, 1]);
        Self { model: model.clone(), down, hidden, logit }
    }

    /// Images `[n, image, image, channels]` → logits `[n, 1]`.
    pub fn discriminate(&self, t: &Tape, image: T, statistics: Statistics) -> T {
        let n = t.shape(image).rows();
        let mut x = image;
        for layer in &self.down {
            x = self.narrow(t, x, layer.weight); // [n, s/2, s/2, 2c · pieces]
            x = self.activate(t, layer.then(t, x, statistics)); // [n, s/2, s/2, 2c]
        }
        x = t.reshape(x, [n, INNER * INNER * self.model.innermost()]); // [n, 4·4·C]
        if let Some(layer) = &self.hidden {
            x = t.matmul(x, layer.weight); // [n, hidden_fc · pieces]
            x = self.activate(t, layer.then(t, x, statistics)); // [n, hidden_fc]
        }
        t.matmul(x, self.logit) // [n, 1]
    }

    /// `[n, s, s, c]` → `[n, s/2, s/2, features of the weights]`.
    #[track_caller]
    fn narrow(&self, t: &Tape, x: T, weight: T) -> T {
        match self.model.down {
            Down::Strided => t.fprop(x, weight, self.model.window(2)),
            Down::MaxPool => t.max_pool(t.fprop(x, weight, self.model.window(1))),
        }
    }

    #[track_caller]
    fn activate(&self, t: &Tape, x: T) -> T {
        match self.model.activation_d {
            ActivationD::LeakyRelu => t.leaky_relu(x, self.model.slope),
            ActivationD::Maxout => t.maxout(x, self.model.pieces),
        }
    }
}
