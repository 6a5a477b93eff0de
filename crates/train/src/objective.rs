//! What the players descend. D is recorded with logits a, so D(x) = 1 / (1 + e⁻ᵃ),
//! −log D = softplus(−a) and −log(1 − D) = softplus(a).

use model::{Gan, Problem};
use serde::{Deserialize, Serialize};
use tape::{Law, Over, Statistics, T, Tape};

/// The game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Equation 1 of Goodfellow et al. 2014 as it stands.
    Minimax,
    /// The same game for D; G ascends log D(G(z)), section 3.
    #[default]
    NonSaturating,
    /// The Wasserstein distance with a gradient penalty, Gulrajani et al. 2017.
    Wasserstein(Wasserstein),
}

/// Settings of the Wasserstein game.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wasserstein {
    /// Weight λ of the gradient penalty; 0 records none.
    pub penalty: f64,
}

impl Default for Wasserstein {
    fn default() -> Self {
        Self { penalty: 10.0 }
    }
}

/// Under the root of the gradient's norm, whose derivative is infinite at 0.
const ROOT_EPS: f64 = 1e-12;

impl Objective {
    /// D's loss, this rank's part of the mean over the world: `samples` are x and G(z)
    /// `[n, h, w, c]`, `logits` D's answers to them `[n, 1]`.
    pub fn discriminator(
        &self,
        t: &Tape,
        gan: &Gan,
        [real, fake]: [T; 2],
        [d_real, d_fake]: [T; 2],
    ) -> T {
        match self {
            // −log D(x) − log(1 − D(G(z)))
            Self::Minimax | Self::NonSaturating => t.add(
                t.batch_mean(t.softplus(t.affine(d_real, -1.0, 0.0))),
                t.batch_mean(t.softplus(d_fake)),
            ),
            // D(G(z)) − D(x) + λ (‖∇D(x̂)‖ − 1)²
            Self::Wasserstein(Wasserstein { penalty }) => {
                let distance = t.sub(t.batch_mean(d_fake), t.batch_mean(d_real));
                if *penalty == 0.0 {
                    return distance;
                }
                let slope = gradient_penalty(t, gan, real, fake);
                t.add(distance, t.affine(slope, *penalty, 0.0))
            }
        }
    }

    /// G's loss, from D's answers to G(z) `[n, 1]`.
    pub fn generator(&self, t: &Tape, d_fake: T) -> T {
        match self {
            // log(1 − D(G(z)))
            Self::Minimax => t.affine(t.batch_mean(t.softplus(d_fake)), -1.0, 0.0),
            // −log D(G(z))
            Self::NonSaturating => t.batch_mean(t.softplus(t.affine(d_fake, -1.0, 0.0))),
            // −D(G(z))
            Self::Wasserstein(_) => t.affine(t.batch_mean(d_fake), -1.0, 0.0),
        }
    }

    /// Whether a logit is the logarithm of the odds that a sample is real, so that one far below 0 on
    /// fakes means that D is sure of them.
    pub fn is_logistic(&self) -> bool {
        matches!(self, Self::Minimax | Self::NonSaturating)
    }

    /// What D says of samples: a probability, or a critic's score.
    pub fn judgement(&self, t: &Tape, logits: T) -> T {
        match self {
            Self::Minimax | Self::NonSaturating => t.sigmoid(logits),
            Self::Wasserstein(_) => logits,
        }
    }

    /// `[loss, D(x), D(G(z)), V, logit of G(z)]` of D's step, means over the batch of the world. V is equation 1, or
    /// the estimate of the Wasserstein distance.
    pub(crate) fn measure(&self, t: &Tape, loss: T, [d_real, d_fake]: [T; 2]) -> T {
        let mean = |logits| t.batch_mean(self.judgement(t, logits));
        let (of_real, of_fake) = (mean(d_real), mean(d_fake));
        let value = match self {
            // E log D(x) + E log(1 − D(G(z)))
            Self::Minimax | Self::NonSaturating => t.affine(loss, -1.0, 0.0),
            // E D(x) − E D(G(z))
            Self::Wasserstein(_) => t.sub(of_real, of_fake),
        };
        t.all_reduce(t.pack(&[loss, of_real, of_fake, value, t.batch_mean(d_fake)]))
    }

    /// V where G has won, by theorem 1: −log 4.
    pub fn optimum(&self) -> Option<f64> {
        match self {
            Self::Minimax | Self::NonSaturating => Some(-(4.0_f64.ln())),
            Self::Wasserstein(_) => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        let Self::Wasserstein(Wasserstein { penalty }) = self else {
            return Ok(());
        };
        Problem::unless(
            penalty.is_finite() && *penalty >= 0.0,
            "objective.wasserstein.penalty",
            penalty,
            "0 or more",
            "Gulrajani et al. 2017 use 10",
        )
    }
}

/// `E (‖∇D(x̂)‖ − 1)²` at x̂ = G(z) + ε (x − G(z)), with one ε uniform on [0, 1) for each sample.
fn gradient_penalty(t: &Tape, gan: &Gan, real: T, fake: T) -> T {
    let shape = t.shape(real);
    let eps = t.noise(Law::Uniform { low: 0.0, high: 1.0 }, [shape.rows()]);
    let eps = t.spread(eps, Over::Sample, shape); // [n, h, w, c]
    let between = t.add(fake, t.mul(eps, t.sub(real, fake))); // x̂
    let d = gan.discriminate(t, between, Statistics::Batch); // D(x̂)
    let slope = t.grad(t.sum(d, Over::All), &[between])[0]; // ∇D(x̂), [n, h, w, c]
    let squares = t.sum(t.square(slope), Over::Sample); // ‖∇D(x̂)‖², [n]
    let norm = t.sqrt(t.affine(squares, 1.0, ROOT_EPS));
    t.batch_mean(t.square(t.affine(norm, 1.0, -1.0)))
}
