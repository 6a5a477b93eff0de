//! DCGAN: Radford, Metz & Chintala 2015, figure 1, and the guidelines of section 3, each a switch.

mod discriminator;
mod generator;
mod layer;

pub(crate) use discriminator::Discriminator;
pub(crate) use generator::Generator;

use crate::{Noise, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tape::Window;

/// All-convolutional networks. The defaults are the paper's: 64×64 images in colour, 128 features
/// next to the image, twice as many at each halving of its side.
///
/// Hidden layers are normalised; one that is not has a bias per channel, in place of the shift of its
/// norm. G's output and D's logit are products alone, as is D's input layer but for its activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dcgan {
    /// Side of the images: a power of two from 16 to 256.
    pub image: usize,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Coordinates of z.
    pub latent: usize,
    /// Uniform on ±1, or standard normal.
    pub noise: Noise,
    /// Features of the layers next to the image.
    pub width: usize,
    /// Height and width of the kernels: 4 or 5.
    pub kernel: usize,
    /// How a layer of D halves the side.
    pub down: Down,
    /// How a layer of G doubles the side.
    pub up: Up,
    /// Normalisation in G, but for its output.
    pub norm_g: NormKind,
    /// Normalisation in D, but for its input.
    pub norm_d: NormKind,
    /// Whether the network that is normalised is so at its end next to the image as well: G's output
    /// before its last function, and D's input layer behind its convolution. "Directly applying
    /// batchnorm to all layers however, resulted in sample oscillation and model instability."
    pub norm_ends: bool,
    /// Units of a fully connected layer between z and G's projection, and of one between D's
    /// features and its logit; 0 for none. They are normalised and activated as the rest of their
    /// network.
    pub hidden_fc: usize,
    /// Activation of G's layers, but for its output.
    pub activation_g: ActivationG,
    /// What brings G's output into the range of pixels.
    pub output: Squash,
    /// Activation of D's layers.
    pub activation_d: ActivationD,
    /// Linear pieces of each maxout unit in D: its layers compute this many times their features, of
    /// which the largest remain. Norms come before.
    pub pieces: usize,
    /// Slope of leaky rectifiers on their negative side; 0 makes them rectifiers.
    pub slope: f64,
    /// Added to the variance in batch norm.
    pub eps: f64,
    /// Weights start normal with this standard deviation.
    pub init: f64,
}

/// How a layer of D halves the side of its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// A convolution of stride 2.
    Strided,
    /// A convolution of stride 1, and of each 2×2 block of its features the largest. Norm and
    /// activation come behind.
    MaxPool,
}

/// How a layer of G doubles the side of its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// A transposed convolution of stride 2, which the paper calls fractionally-strided.
    Fractional,
    /// Every pixel four times, and a convolution of stride 1.
    Nearest,
}

/// How the layers of a network are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Batch norm.
    Batch,
    /// Not at all.
    None,
}

/// Activation of G's hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivationG {
    /// Rectified linear, as in the paper.
    Relu,
    /// Hyperbolic tangent, a bounded one.
    Tanh,
    /// Leaky rectified linear, of the model's slope.
    LeakyRelu,
}

/// Activation of D's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivationD {
    /// Leaky rectified linear, of the model's slope, as in the paper.
    LeakyRelu,
    /// Maxout, "in contrast to" which the paper's guideline is.
    Maxout,
}

/// What brings G's output into the range of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Squash {
    /// Hyperbolic tangent: pixels in [−1, 1].
    Tanh,
    /// Logistic function: pixels in [0, 1].
    Sigmoid,
}

impl Default for Dcgan {
    fn default() -> Self {
        Self {
            image: 64,
            channels: 3,
            latent: 100,
            noise: Noise::Uniform,
            width: 128,
            kernel: 5,
            down: Down::Strided,
            up: Up::Fractional,
            norm_g: NormKind::Batch,
            norm_d: NormKind::Batch,
            norm_ends: false,
            hidden_fc: 0,
            activation_g: ActivationG::Relu,
            output: Squash::Tanh,
            activation_d: ActivationD::LeakyRelu,
            pieces: 2,
            slope: 0.2,
            eps: 1e-5,
            init: 0.02,
        }
    }
}

/// Side of the innermost features.
const INNER: usize = 4;

/// No layer is wider than this: beyond it a number is a slip of the pen.
const WIDEST: usize = 1 << 16;

impl Dcgan {
    /// Refuses what cannot be built, and samples `[h, w, c]` that do not fit.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn check(&self, [h, w, c]: [usize; 3]) -> Result<(), Problem> {
        let count = |key: &str, n: usize, most: usize| {
            let expected = format!("1 to {most}");
            Problem::unless((1..=most).contains(&n), key, n, expected, "change it")
        };
        let positive = |key: &str, x: f64| {
            let fine = x.is_finite() && x > 0.0;
            Problem::unless(fine, key, x, "a number above 0", "change it")
        };
        Problem::unless(
            self.image.is_power_of_two() && (16..=256).contains(&self.image),
            "image",
            self.image,
            "16, 32, 64, 128 or 256, since every layer halves the side down to 4",
            "resize or pad the images",
        )?;
        Problem::unless(
            self.channels == 1 || self.channels == 3,
            "channels",
            self.channels,
            "1 for grey or 3 for colour",
            "change it",
        )?;
        count("latent", self.latent, WIDEST)?;
        count("width", self.width, 1 << 12)?;
        Problem::unless(
            self.kernel == 4 || self.kernel == 5,
            "kernel",
            self.kernel,
            "4 or 5, the kernels that halve a side exactly",
            "use 5 for the paper's networks, 4 for the PyTorch example's",
        )?;
        Problem::unless(
            !self.norm_ends || self.norm_g == NormKind::Batch || self.norm_d == NormKind::Batch,
            "norm_ends",
            "true",
            "false, since neither network is normalised",
            "set `norm_ends: false`, or `batch` for `norm_g`, `norm_d` or both",
        )?;
        Problem::unless(
            self.hidden_fc <= WIDEST,
            "hidden_fc",
            self.hidden_fc,
            format!("0 to {WIDEST} units"),
            "use 0 for no fully connected layer, as in the paper",
        )?;
        Problem::unless(
            (2..=16).contains(&self.pieces),
            "pieces",
            self.pieces,
            "2 to 16 linear pieces, since one piece is a linear unit",
            "use 2, the fewest that bend",
        )?;
        Problem::unless(
            self.slope.is_finite() && (0.0..1.0).contains(&self.slope),
            "slope",
            self.slope,
            "0 or more, below 1",
            "the paper has 0.2",
        )?;
        positive("eps", self.eps)?;
        positive("init", self.init)?;
        let advice = "set it to the side of the samples, or pad them (`data.images.pad`)";
        let sizes = format!("{h}, since the samples are {h}×{w}");
        Problem::unless([h, w] == [self.image; 2], "image", self.image, sizes, advice)?;
        let channels = format!("{c}, since the samples have {c} channels");
        Problem::unless(c == self.channels, "channels", self.channels, channels, "change it")
    }

    /// Features at the innermost side: the width doubles with each halving of the image.
    fn innermost(&self) -> usize {
        self.width * self.image / (2 * INNER)
    }

    /// Kernel 4 with one zero before the image, or 5 with two: stride 2 halves a side exactly, and
    /// stride 1 keeps it.
    fn window(&self, stride: usize) -> Window {
        Window { kernel: self.kernel, stride, pad: self.kernel - 3 }
    }
}
