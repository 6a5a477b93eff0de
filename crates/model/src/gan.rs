//! The two players, whatever they are made of.

use crate::dcgan::{Discriminator, Generator};
use crate::{Dcgan, Goodfellow, NormKind, Output, Problem, Squash, goodfellow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tape::{Dtype, Law, Network, Statistics, T, Tape};

/// Which networks play.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Fully connected, Goodfellow et al. 2014.
    Goodfellow(Goodfellow),
    /// Convolutional, Radford et al. 2015.
    Dcgan(Dcgan),
}

impl Model {
    /// Refuses what cannot be built for samples `[h, w, c]`.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its key below `model`.
    pub fn check(&self, sample: [usize; 3]) -> Result<(), Problem> {
        match self {
            Self::Goodfellow(model) => model.check().map_err(|p| p.under("goodfellow")),
            Self::Dcgan(model) => model.check(sample).map_err(|p| p.under("dcgan")),
        }
    }

    /// Whether D has batch norm, so that its answers depend on the whole batch. The layers that
    /// switches add follow `norm_d` like the rest.
    pub fn has_norm_d(&self) -> bool {
        match self {
            Self::Goodfellow(_) => false,
            Self::Dcgan(model) => model.norm_d == NormKind::Batch,
        }
    }

    /// Whether G has batch norm.
    pub fn has_norm_g(&self) -> bool {
        match self {
            Self::Goodfellow(_) => false,
            Self::Dcgan(model) => model.norm_g == NormKind::Batch,
        }
    }

    /// Whether a batch norm sees one number per sample, so that one sample alone has no variance.
    pub fn has_norm_of_units(&self) -> bool {
        match self {
            Self::Goodfellow(_) => false,
            Self::Dcgan(model) => model.hidden_fc > 0 && (self.has_norm_g() || self.has_norm_d()),
        }
    }

    /// Height, width and channels of the only samples that these networks take, if they are bound to
    /// any.
    pub fn sample(&self) -> Option<[usize; 3]> {
        match self {
            Self::Goodfellow(_) => None,
            Self::Dcgan(model) => Some([model.image, model.image, model.channels]),
        }
    }

    /// Coordinates of z.
    pub fn latent(&self) -> usize {
        match self {
            Self::Goodfellow(model) => model.generator.latent,
            Self::Dcgan(model) => model.latent,
        }
    }

    /// The numbers that stand for black and white: the ends of G's last function.
    pub fn range(&self) -> [f64; 2] {
        match self {
            Self::Goodfellow(model) if model.generator.output == Output::Sigmoid => [0.0, 1.0],
            Self::Dcgan(model) if model.output == Squash::Sigmoid => [0.0, 1.0],
            _ => [-1.0, 1.0],
        }
    }

    fn law(&self) -> Law {
        match self {
            Self::Goodfellow(model) => model.generator.noise.law(model.generator.range),
            Self::Dcgan(model) => model.noise.law(1.0),
        }
    }
}

enum Networks {
    Goodfellow(goodfellow::Networks),
    Dcgan(Box<Generator>, Box<Discriminator>),
}

/// A generator and a discriminator whose parameters are registered on a tape. The methods record.
pub struct Gan {
    /// Network `generator`.
    pub g: Network,
    /// Network `discriminator`.
    pub d: Network,
    /// The networks' settings.
    pub model: Model,
    /// Extents of one sample: height, width, channels.
    pub sample: [usize; 3],
    networks: Networks,
}

impl Gan {
    /// Registers the parameters of both networks, from input to output. The model was checked for
    /// these samples `[h, w, c]`.
    pub fn new(t: &Tape, model: &Model, sample: [usize; 3]) -> Self {
        let (g, d) = (t.network("generator"), t.network("discriminator"));
        let networks = match model {
            Model::Goodfellow(model) => {
                Networks::Goodfellow(goodfellow::Networks::new(t, model, sample, g, d))
            }
            Model::Dcgan(model) => {
                let generator = Generator::new(t, model, g);
                Networks::Dcgan(generator.into(), Discriminator::new(t, model, d).into())
            }
        };
        Self { g, d, model: model.clone(), sample, networks }
    }

    /// z `[rows, latent]`, drawn anew at every run of the program.
    pub fn noise(&self, t: &Tape, rows: usize) -> T {
        t.noise(self.model.law(), [rows, self.model.latent()])
    }

    /// G(z): z `[n, latent]` → samples `[n, h, w, c]`.
    pub fn generate(&self, t: &Tape, z: T, statistics: Statistics) -> T {
        match &self.networks {
            Networks::Goodfellow(networks) => networks.generate(t, z),
            Networks::Dcgan(generator, _) => generator.generate(t, z, statistics),
        }
    }

    /// D(x) before its sigmoid: samples `[n, h, w, c]` → logits `[n, 1]`. With
    /// [`Statistics::Running`] it is the finished network that is asked, without dropout.
    pub fn discriminate(&self, t: &Tape, x: T, statistics: Statistics) -> T {
        match &self.networks {
            Networks::Goodfellow(networks) => networks.discriminate(t, x, statistics),
            Networks::Dcgan(_, discriminator) => discriminator.discriminate(t, x, statistics),
        }
    }

    /// Samples as they lie in a shard `[n, h, w, c]` in the range of G's output: bytes are scaled,
    /// numbers stay as they are.
    pub fn preprocess(&self, t: &Tape, input: T) -> T {
        let [black, white] = self.model.range();
        let dtype = t.tensor(input).dtype;
        match dtype {
            Dtype::U8 => t.convert(input, (white - black) / 255.0, black),
            Dtype::F32 => t.convert(input, 1.0, 0.0),
            Dtype::Real | Dtype::Bf16 => input,
        }
    }

    /// Whether D has batch norm.
    pub fn has_norm_d(&self) -> bool {
        self.model.has_norm_d()
    }

    /// The parameter of G that starts at the logits of the pixels' means, where the model says so.
    pub fn marginals(&self) -> Option<T> {
        match (&self.model, &self.networks) {
            (Model::Goodfellow(model), Networks::Goodfellow(networks)) => {
                model.generator.marginals.then(|| networks.output_bias())
            }
            _ => None,
        }
    }
}
