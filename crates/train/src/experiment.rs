//! `Experiment`: the one typed form of an experiment, with its defaults.

use crate::{Count, DeviceName, Objective, OnAlarm, Optimizer};
use model::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is trained, on what, how, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The networks.
    pub model: Model,
    /// What D is shown as real.
    pub data: Data,
    /// What G and D descend.
    #[serde(default)]
    pub objective: Objective,
    /// In which order they do it.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps of D for each step of G: Algorithm 1's k. 1 where one program moves both players.
    #[serde(default = "one")]
    pub k: u64,
    /// Samples of a step, of the world; each rank takes batch / world.
    #[serde(default = "batch")]
    pub batch: usize,
    /// How many ranks share the batch, as threads of one process, where no launcher has started them.
    #[serde(default = "one_rank")]
    pub ranks: usize,
    /// Length of the run, in real images drawn: those of D's steps, and with
    /// [`Schedule::AlternateBatches`] those of G's as well. All other counts of images are of these.
    pub images: Count,
    /// How parameters follow their gradients.
    #[serde(default)]
    pub optimizer: Optimizers,
    /// Decay of a moving average of G's parameters, which is sampled as well.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Of which samples batch norms take their statistics in a step.
    #[serde(default)]
    pub norm_statistics: NormStatistics,
    /// Which statistics G's batch norms use where samples are drawn.
    #[serde(default)]
    pub sampling_statistics: SamplingStatistics,
    /// Where it is computed.
    #[serde(default)]
    pub device: DeviceName,
    /// How numbers are stored and multiplied.
    #[serde(default)]
    pub precision: Precision,
    /// Whether a GPU replays each program as one graph; without, it starts kernel by kernel, which is
    /// slower and easier to debug. The numbers are the same.
    #[serde(default = "yes")]
    pub capture: bool,
    /// Key of everything that is drawn.
    #[serde(default)]
    pub seed: u64,
    /// How often something is told or kept.
    #[serde(default)]
    pub every: Every,
    /// What an alarm makes the run do.
    #[serde(default)]
    pub on_alarm: OnAlarm,
}

/// Where real samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Data {
    /// Numbers from a normal distribution, as in figure 1 of Goodfellow et al. 2014.
    Gaussian {
        /// Mean.
        #[serde(default)]
        mean: f64,
        /// Standard deviation.
        #[serde(default = "unit")]
        std: f64,
    },
    /// Images of a prepared data set.
    Images {
        /// Its name.
        set: String,
        /// Which part of it.
        #[serde(default)]
        split: Split,
        /// Black pixels that are put around each image, on each side.
        #[serde(default)]
        pad: usize,
        /// Whether images are mirrored left to right, half of them.
        #[serde(default)]
        flip: bool,
    },
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To train on.
    #[default]
    Train,
    /// To compare with.
    Test,
}

/// The order in which the players move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Goodfellow et al. 2014: k steps of D, then one of G, each with noise of its own.
    #[default]
    Algorithm1,
    /// The PyTorch example: one batch of fakes serves D's step, and then G's through the D that has
    /// just moved.
    SharedFakes,
    /// The 2014 code: both move at once, G by the slope of the D that has not moved yet, with the same
    /// real samples, fakes and dropout. (That code halves D's loss: halve D's rate for it.)
    Simultaneous,
    /// The 2015 code: of k + 1 batches of real samples the first goes to G and the others to D, so that
    /// in an epoch each image is seen by one of them. G has no use for its batch but in a game of
    /// pairs; the batch is drawn all the same, and counted.
    AlternateBatches,
}

/// An optimiser for each player.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizers {
    /// G's.
    pub generator: Optimizer,
    /// D's.
    pub discriminator: Optimizer,
}

/// Statistics of G's batch norms where samples are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamplingStatistics {
    /// Those of the batch of samples, as in the 2015 code.
    #[default]
    Batch,
    /// Running averages over training.
    Running,
}

/// Samples that a batch norm's statistics are of, while networks are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormStatistics {
    /// Those of all ranks: what is computed does not depend on their number.
    #[default]
    World,
    /// Those of each rank by itself: fewer messages, and another game for each number of ranks.
    Rank,
}

/// How a run's numbers are stored and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// What suits the device: bf16 on a GPU, f32 on cores.
    #[default]
    Auto,
    /// 32 bits.
    F32,
    /// 32 bits, with factors of products rounded to 11 of them; on GPUs only.
    Tf32,
    /// Activations and factors of products with 16 bits, 8 of them significant; sums, statistics,
    /// parameters and optimisers with 32. On GPUs only.
    Bf16,
    /// 64 bits; on cores only.
    F64,
}

impl Precision {
    /// Its name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::F64 => "f64",
        }
    }
}

/// How often something is told or kept, in real images drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Every {
    /// Means of losses and of D's answers.
    pub report: Count,
    /// Pictures of samples.
    pub samples: Count,
    /// Checkpoints.
    pub checkpoint: Count,
}

impl Default for Every {
    fn default() -> Self {
        Self { report: Count(10_000), samples: Count(100_000), checkpoint: Count(1_000_000) }
    }
}

impl Experiment {
    /// Real images that one iteration draws.
    pub fn images_per_iteration(&self) -> u64 {
        let of_g = u64::from(self.schedule == Schedule::AlternateBatches);
        (self.k + of_g) * self.batch as u64
    }
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn one_rank() -> usize {
    1
}

fn batch() -> usize {
    128
}

fn unit() -> f64 {
    1.0
}
