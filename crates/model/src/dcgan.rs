//! DCGAN: Radford, Metz & Chintala 2015, figure 1 and the guidelines of section 3.

use crate::{Noise, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tape::{Init, Network, Norm, Statistics, T, Tape, Window};

/// All-convolutional networks. The defaults are the paper's: 64×64 images in colour, 128 features
/// next to the image, twice as many at each halving of its side.
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
    /// Slope of D's leaky rectifiers on their negative side.
    pub slope: f64,
    /// Normalisation in G, but for its output.
    pub norm_g: NormKind,
    /// Normalisation in D, but for its input.
    pub norm_d: NormKind,
    /// Added to the variance in batch norm.
    pub eps: f64,
    /// Weights start normal with this standard deviation.
    pub init: f64,
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

impl Default for Dcgan {
    fn default() -> Self {
        Self {
            image: 64,
            channels: 3,
            latent: 100,
            noise: Noise::Uniform,
            width: 128,
            kernel: 5,
            slope: 0.2,
            norm_g: NormKind::Batch,
            norm_d: NormKind::Batch,
            eps: 1e-5,
            init: 0.02,
        }
    }
}

/// Side of the innermost features.
const INNER: usize = 4;

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
        count("latent", self.latent, 1 << 16)?;
        count("width", self.width, 1 << 12)?;
        Problem::unless(
            self.kernel == 4 || self.kernel == 5,
            "kernel",
            self.kernel,
            "4 or 5, the kernels that halve a side exactly",
            "use 5 for the paper's networks, 4 for the PyTorch example's",
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
}

/// A product or convolution, and what normalises its result.
struct Layer {
    weight: T,
    /// Only where a fully connected layer has no norm behind it.
    bias: Option<T>,
    norm: Option<Norm>,
}

impl Layer {
    #[track_caller]
    fn normalized(&self, t: &Tape, x: T, statistics: Statistics) -> T {
        match &self.norm {
            Some(norm) => t.batch_norm(x, norm, statistics),
            None => x,
        }
    }
}

/// The registered parameters.
pub(crate) struct Networks {
    window: Window,
    slope: f64,
    innermost: usize,
    project: Layer,
    up: Vec<Layer>,
    to_image: T,
    down: Vec<Layer>,
    logit: T,
}

impl Networks {
    pub fn new(t: &Tape, model: &Dcgan, g: Network, d: Network) -> Self {
        let weight = |network, layer: usize, shape: &[usize]| {
            let shape = tape::Shape::new(shape);
            let name = format!("{layer}.weight");
            t.parameter(network, &name, shape, Init::normal(model.init))
        };
        let norm = |kind, network, layer: usize, channels| {
            (kind == NormKind::Batch)
                .then(|| t.norm(network, &layer.to_string(), channels, model.eps))
        };
        let k = model.kernel;
        let innermost = model.innermost();

        let flat = INNER * INNER * innermost;
        let project = Layer {
            weight: weight(g, 0, &[model.latent, flat]),
            bias: (model.norm_g == NormKind::None)
                .then(|| t.parameter(g, "0.bias", [flat], Init::Constant(0.0))),
            norm: norm(model.norm_g, g, 0, innermost),
        };
        let mut up = Vec::new();
        let mut channels = innermost;
        while channels > model.width {
            let layer = up.len() + 1;
            up.push(Layer {
                weight: weight(g, layer, &[channels, k, k, channels / 2]),
                bias: None,
                norm: norm(model.norm_g, g, layer, channels / 2),
            });
            channels /= 2;
        }
        let to_image = weight(g, up.len() + 1, &[channels, k, k, model.channels]);

        let mut down = vec![Layer {
            weight: weight(d, 0, &[model.width, k, k, model.channels]),
            bias: None,
            norm: None,
        }];
        let mut channels = model.width;
        while channels < innermost {
            let layer = down.len();
            down.push(Layer {
                weight: weight(d, layer, &[2 * channels, k, k, channels]),
                bias: None,
                norm: norm(model.norm_d, d, layer, 2 * channels),
            });
            channels *= 2;
        }
        let logit = weight(d, down.len(), &[flat, 1]);

        Self {
            // Kernel 4 with one zero before the image, or 5 with two: both halve a side exactly.
            window: Window { kernel: k, stride: 2, pad: k - 3 },
            slope: model.slope,
            innermost,
            project,
            up,
            to_image,
            down,
            logit,
        }
    }

    /// z `[n, latent]` → images `[n, image, image, channels]` in [−1, 1].
    pub fn generate(&self, t: &Tape, z: T, statistics: Statistics) -> T {
        let n = t.shape(z).rows();
        let mut x = t.matmul(z, self.project.weight); // [n, 4·4·C]
        if let Some(bias) = self.project.bias {
            x = t.add_bias(x, bias);
        }
        x = t.reshape(x, [n, INNER, INNER, self.innermost]); // [n, 4, 4, C]
        x = t.relu(self.project.normalized(t, x, statistics));
        for layer in &self.up {
            x = t.dgrad(x, layer.weight, self.window); // [n, 2s, 2s, c/2]
            x = t.relu(layer.normalized(t, x, statistics));
        }
        t.tanh(t.dgrad(x, self.to_image, self.window)) // [n, image, image, channels]
    }

    /// Images `[n, image, image, channels]` → logits `[n, 1]`.
    pub fn discriminate(&self, t: &Tape, image: T, statistics: Statistics) -> T {
        let n = t.shape(image).rows();
        let mut x = image;
        for layer in &self.down {
            x = t.fprop(x, layer.weight, self.window); // [n, s/2, s/2, 2c]
            x = t.leaky_relu(layer.normalized(t, x, statistics), self.slope);
        }
        x = t.reshape(x, [n, INNER * INNER * self.innermost]); // [n, 4·4·C]
        t.matmul(x, self.logit) // [n, 1]
    }
}
