//! The fully connected networks of Goodfellow et al. 2014, section 5, with the settings of the code
//! that was published with it.

use crate::{Noise, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tape::{Init, Network, Statistics, T, Tape};

/// A generator of rectified linear units and a discriminator of maxout units with dropout. The
/// defaults are those of MNIST in the 2014 code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Goodfellow {
    /// G.
    pub generator: ReluGenerator,
    /// D.
    pub discriminator: MaxoutDiscriminator,
}

/// G: noise, hidden layers of rectified linear units, an output layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReluGenerator {
    /// Coordinates of z.
    pub latent: usize,
    /// Distribution of z.
    pub noise: Noise,
    /// z is uniform on ±range, or normal with this standard deviation.
    pub range: f64,
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    /// What follows the last layer.
    pub output: Output,
    /// Weights start uniform on ±init.
    pub init: f64,
    /// Start the output's bias where a sigmoid gives each pixel's mean over the data.
    pub marginals: bool,
}

/// D: hidden layers of maxout units, one logit; dropout before every layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaxoutDiscriminator {
    /// Units of the hidden layers.
    pub maxout: Vec<usize>,
    /// Linear pieces of each unit.
    pub pieces: usize,
    /// Probability that a pixel is kept; 1 switches dropout off.
    pub keep_input: f64,
    /// Probability that a hidden unit is kept; 1 switches dropout off.
    pub keep_hidden: f64,
    /// Weights start uniform on ±init.
    pub init: f64,
}

/// What follows the last layer of G.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Logistic function: pixels in [0, 1].
    Sigmoid,
    /// Nothing.
    Linear,
    /// Hyperbolic tangent: pixels in [−1, 1].
    Tanh,
}

impl Default for ReluGenerator {
    fn default() -> Self {
        Self {
            latent: 100,
            noise: Noise::Uniform,
            range: 3.0_f64.sqrt(),
            hidden: vec![1200, 1200],
            output: Output::Sigmoid,
            init: 0.05,
            marginals: false,
        }
    }
}

impl Default for MaxoutDiscriminator {
    fn default() -> Self {
        Self { maxout: vec![240, 240], pieces: 5, keep_input: 0.8, keep_hidden: 0.5, init: 0.005 }
    }
}

/// No layer is wider than this: beyond it a number is a slip of the pen.
const WIDEST: usize = 1 << 16;

impl Goodfellow {
    /// Refuses what cannot be built.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), Problem> {
        let g = &self.generator;
        let d = &self.discriminator;
        let units = |key: &str, n: usize| {
            let expected = format!("1 to {WIDEST}");
            Problem::unless((1..=WIDEST).contains(&n), key, n, expected, "change it")
        };
        let positive = |key: &str, x: f64| {
            let fine = x.is_finite() && x > 0.0;
            Problem::unless(fine, key, x, "a number above 0", "change it")
        };
        let keep = |key: &str, x: f64| {
            let expected = "a probability above 0, at most 1";
            Problem::unless(x > 0.0 && x <= 1.0, key, x, expected, "use 1 for no dropout")
        };
        units("generator.latent", g.latent)?;
        positive("generator.range", g.range)?;
        for (i, &n) in g.hidden.iter().enumerate() {
            units(&format!("generator.hidden.{i}"), n)?;
        }
        positive("generator.init", g.init)?;
        Problem::unless(
            !g.marginals || g.output == Output::Sigmoid,
            "generator.marginals",
            "true",
            "false, since the output is not a sigmoid",
            "set `output: sigmoid` or `marginals: false`",
        )?;
        for (i, &n) in d.maxout.iter().enumerate() {
            units(&format!("discriminator.maxout.{i}"), n)?;
        }
        units("discriminator.pieces", d.pieces)?;
        keep("discriminator.keep_input", d.keep_input)?;
        keep("discriminator.keep_hidden", d.keep_hidden)?;
        positive("discriminator.init", d.init)
    }
}

/// `y = x · weight + bias`
struct Linear {
    weight: T,
    bias: T,
}

impl Linear {
    fn new(t: &Tape, network: Network, layer: usize, [from, to]: [usize; 2], init: f64) -> Self {
        let weight = Init::uniform(init);
        Self {
            weight: t.parameter(network, &format!("{layer}.weight"), [from, to], weight),
            bias: t.parameter(network, &format!("{layer}.bias"), [to], Init::Constant(0.0)),
        }
    }

    #[track_caller]
    fn of(&self, t: &Tape, x: T) -> T {
        t.add_bias(t.matmul(x, self.weight), self.bias)
    }
}

/// The registered parameters.
pub(crate) struct Networks {
    sample: [usize; 3],
    output: Output,
    hidden: Vec<Linear>,
    last: Linear,
    keep_input: f64,
    keep_hidden: f64,
    pieces: usize,
    maxout: Vec<Linear>,
    logit: Linear,
}

impl Networks {
    pub fn new(t: &Tape, model: &Goodfellow, sample: [usize; 3], g: Network, d: Network) -> Self {
        let pixels = sample.iter().product();

        let net = &model.generator;
        let mut hidden = Vec::new();
        let mut from = net.latent;
        for &units in &net.hidden {
            hidden.push(Linear::new(t, g, hidden.len(), [from, units], net.init));
            from = units;
        }
        let last = Linear::new(t, g, hidden.len(), [from, pixels], net.init);

        let net = &model.discriminator;
        let mut maxout = Vec::new();
        let mut from = pixels;
        for &units in &net.maxout {
            let columns = units * net.pieces;
            maxout.push(Linear::new(t, d, maxout.len(), [from, columns], net.init));
            from = units;
        }
        let logit = Linear::new(t, d, maxout.len(), [from, 1], net.init);

        Self {
            sample,
            output: model.generator.output,
            hidden,
            last,
            keep_input: net.keep_input,
            keep_hidden: net.keep_hidden,
            pieces: net.pieces,
            maxout,
            logit,
        }
    }

    /// z `[n, latent]` → samples `[n, h, w, c]`.
    pub fn generate(&self, t: &Tape, z: T) -> T {
        let n = t.shape(z).rows();
        let mut x = z; // [n, latent]
        for layer in &self.hidden {
            x = t.relu(layer.of(t, x)); // [n, units]
        }
        x = self.last.of(t, x); // [n, h·w·c]
        x = match self.output {
            Output::Sigmoid => t.sigmoid(x),
            Output::Linear => x,
            Output::Tanh => t.tanh(x),
        };
        let [h, w, c] = self.sample;
        t.reshape(x, [n, h, w, c])
    }

    /// Samples `[n, h, w, c]` → logits `[n, 1]`.
    pub fn discriminate(&self, t: &Tape, x: T, statistics: Statistics) -> T {
        // A finished network is asked without dropout.
        let training = statistics != Statistics::Running;
        let dropout = |x: T, keep: f64| {
            if keep < 1.0 && training { t.dropout(x, keep, 1.0 / keep) } else { x }
        };
        let [h, w, c] = self.sample;
        let mut x = t.reshape(x, [t.shape(x).rows(), h * w * c]);
        let mut keep = self.keep_input;
        for layer in &self.maxout {
            x = layer.of(t, dropout(x, keep)); // [n, units · pieces]
            x = t.maxout(x, self.pieces); // [n, units]
            keep = self.keep_hidden;
        }
        self.logit.of(t, dropout(x, keep)) // [n, 1]
    }

    /// The bias of G's output.
    pub fn output_bias(&self) -> T {
        self.last.bias
    }
}
