//! What the players descend. D is recorded with logits a. In the games of Goodfellow et al. 2014
//! D(x) = 1 / (1 + e⁻ᵃ), −log D = softplus(−a) and −log(1 − D) = softplus(a); in all others D(x) is a
//! itself.
//!
//! D ascends a value V and G brings it down again. With the best D, V is smallest where p_g = p_data:
//!
//! | objective | V | there | D(x), D(G(z)) there |
//! |---|---|---|---|
//! | `minimax`, `non_saturating` | equation 1 of Goodfellow et al. 2014 | −log 4 | 1/2 |
//! | `least_squares` | −½ E (D(x) − 1)² − ½ E D(G(z))² | −1/4 | 1/2 |
//! | `hinge` | −E max(0, 1 − D(x)) − E max(0, 1 + D(G(z))) | −2 | equal, within ±1 |
//! | `relativistic` | E log σ(D(x) − D(G(z))) | −log 2 | equal |
//! | `wasserstein` | E D(x) − E D(G(z)) | 0 for any D, so it says little | equal |
//!
//! Least squares: the best D is p / (p + q), as in the original game, and V is then −½ ∫ pq / (p + q);
//! a harmonic mean is at most the arithmetic one. Hinge: the best D is the sign of p − q, and V is then
//! −2 ∫ min(p, q). Relativistic: the best D is log p / q plus any constant, and V is then −log 2 plus
//! the Jensen–Shannon divergence between pairs drawn from p × q and from q × p.

use model::{Gan, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tape::{T, Tape};

mod penalty;

/// The game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Equation 1 of Goodfellow et al. 2014 as it stands.
    Minimax,
    /// The same game for D; G ascends log D(G(z)), section 3.
    #[default]
    NonSaturating,
    /// The Wasserstein distance with a gradient penalty, Gulrajani et al. 2017.
    Wasserstein(Wasserstein),
    /// Least squares: D aims at 1 for real samples and at 0 for fakes, G at 1 (a = 0, b = c = 1). Mao
    /// et al. 2017, equation 9, with its factors ½.
    LeastSquares,
    /// Margins of ±1: Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17.
    Hinge,
    /// D tells which of a pair is real: Jolicoeur-Martineau 2018, as in R3GAN (Huang et al. 2024,
    /// section 2).
    Relativistic(Relativistic),
}

/// Settings of the Wasserstein game.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// Settings of the relativistic game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Relativistic {
    /// Weight γ of the gradient penalties, γ/2 (R1 + R2); 0 records none.
    pub penalty: f64,
}

impl Objective {
    /// D's loss, this rank's part of the mean over the world: `samples` are x and G(z)
    /// `[n, h, w, c]`, `logits` D's answers to them `[n, 1]`.
    pub fn discriminator(&self, t: &Tape, gan: &Gan, samples: [T; 2], logits: [T; 2]) -> T {
        let loss = self.without_penalty(t, logits);
        match self {
            // + λ E (‖∇D(x̂)‖ − 1)²
            Self::Wasserstein(Wasserstein { penalty }) if *penalty > 0.0 => {
                let slope = penalty::distance_from_one(t, gan, samples);
                t.add(loss, t.affine(slope, *penalty, 0.0))
            }
            // + γ/2 (E ‖∇D(x)‖² + E ‖∇D(G(z))‖²)
            Self::Relativistic(Relativistic { penalty }) if *penalty > 0.0 => {
                let slopes = penalty::distance_from_zero(t, samples, logits);
                t.add(loss, t.affine(slopes, penalty / 2.0, 0.0))
            }
            _ => loss,
        }
    }

    /// −V
    fn without_penalty(&self, t: &Tape, [d_real, d_fake]: [T; 2]) -> T {
        match self {
            // −log D(x) − log(1 − D(G(z)))
            Self::Minimax | Self::NonSaturating => t.add(
                t.batch_mean(t.softplus(t.affine(d_real, -1.0, 0.0))),
                t.batch_mean(t.softplus(d_fake)),
            ),
            // D(G(z)) − D(x)
            Self::Wasserstein(_) => t.sub(t.batch_mean(d_fake), t.batch_mean(d_real)),
            // ½ (D(x) − 1)² + ½ D(G(z))²
            Self::LeastSquares => t.affine(
                t.add(
                    t.batch_mean(t.square(t.affine(d_real, 1.0, -1.0))),
                    t.batch_mean(t.square(d_fake)),
                ),
                0.5,
                0.0,
            ),
            // max(0, 1 − D(x)) + max(0, 1 + D(G(z)))
            Self::Hinge => t.add(
                t.batch_mean(t.relu(t.affine(d_real, -1.0, 1.0))),
                t.batch_mean(t.relu(t.affine(d_fake, 1.0, 1.0))),
            ),
            // −log σ(D(x) − D(G(z))), row by row
            Self::Relativistic(_) => t.batch_mean(t.softplus(t.sub(d_fake, d_real))),
        }
    }

    /// G's loss, from D's answers to G(z) `[n, 1]`; `d_real` records D's answers to as many real
    /// samples, and is called only by a game of pairs ([`Objective::is_of_pairs`]).
    pub fn generator(&self, t: &Tape, d_fake: T, d_real: impl FnOnce() -> T) -> T {
        match self {
            // log(1 − D(G(z)))
            Self::Minimax => t.affine(t.batch_mean(t.softplus(d_fake)), -1.0, 0.0),
            // −log D(G(z))
            Self::NonSaturating => t.batch_mean(t.softplus(t.affine(d_fake, -1.0, 0.0))),
            // −D(G(z))
            Self::Wasserstein(_) | Self::Hinge => t.affine(t.batch_mean(d_fake), -1.0, 0.0),
            // ½ (D(G(z)) − 1)²
            Self::LeastSquares => {
                t.affine(t.batch_mean(t.square(t.affine(d_fake, 1.0, -1.0))), 0.5, 0.0)
            }
            // −log σ(D(G(z)) − D(x)), row by row
            Self::Relativistic(_) => t.batch_mean(t.softplus(t.sub(d_real(), d_fake))),
        }
    }

    /// Whether G's loss compares fakes with real samples, so that G's step reads some.
    pub fn is_of_pairs(&self) -> bool {
        matches!(self, Self::Relativistic(_))
    }

    /// Whether a logit is the logarithm of the odds that a sample is real, so that one far below 0 on
    /// fakes means that D is sure of them. In the relativistic game only differences of logits mean
    /// anything: there D is sure when V is close to 0.
    pub fn is_logistic(&self) -> bool {
        matches!(self, Self::Minimax | Self::NonSaturating)
    }

    /// What D says of samples: a probability ([`Objective::is_logistic`]), or a score.
    pub fn judgement(&self, t: &Tape, logits: T) -> T {
        if self.is_logistic() { t.sigmoid(logits) } else { logits }
    }

    /// `[loss, D(x), D(G(z)), V, logit of G(z)]` of D's step, this rank's part of the means over the batch
    /// of the world.
    pub(crate) fn measure(&self, t: &Tape, loss: T, [d_real, d_fake]: [T; 2]) -> [T; 5] {
        let mean = |logits| t.batch_mean(self.judgement(t, logits));
        let (of_real, of_fake) = (mean(d_real), mean(d_fake));
        let value = match self {
            Self::Wasserstein(_) => t.sub(of_real, of_fake),
            Self::Relativistic(game) if game.penalty > 0.0 => {
                t.affine(self.without_penalty(t, [d_real, d_fake]), -1.0, 0.0)
            }
            _ => t.affine(loss, -1.0, 0.0),
        };
        [loss, of_real, of_fake, value, t.batch_mean(d_fake)]
    }

    /// V where G has won: of the best D, where p_g = p_data.
    pub fn optimum(&self) -> Option<f64> {
        self.end().map(|(value, _)| value)
    }

    /// [`Objective::optimum`] as it is written, such as "−log 4".
    pub fn optimum_in_words(&self) -> Option<&'static str> {
        self.end().map(|(_, words)| words)
    }

    fn end(&self) -> Option<(f64, &'static str)> {
        match self {
            // Theorem 1 of Goodfellow et al. 2014.
            Self::Minimax | Self::NonSaturating => Some((-(4.0_f64.ln()), "−log 4")),
            Self::LeastSquares => Some((-0.25, "−1/4")),
            Self::Hinge => Some((-2.0, "−2")),
            Self::Relativistic(_) => Some((-(2.0_f64.ln()), "−log 2")),
            Self::Wasserstein(_) => None,
        }
    }

    /// What D says of every sample where G has won, if the game decides that.
    pub fn indifference(&self) -> Option<f64> {
        match self {
            Self::Minimax | Self::NonSaturating | Self::LeastSquares => Some(0.5),
            Self::Wasserstein(_) | Self::Hinge | Self::Relativistic(_) => None,
        }
    }

    /// In what losses and V are counted.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Minimax | Self::NonSaturating | Self::Relativistic(_) => "nats",
            Self::Wasserstein(_) | Self::Hinge => "score",
            Self::LeastSquares => "score²",
        }
    }

    /// The key and the weight of a penalty on D's slope.
    pub(crate) fn penalty(&self) -> Option<(&'static str, f64)> {
        match self {
            Self::Wasserstein(game) => Some(("objective.wasserstein.penalty", game.penalty)),
            Self::Relativistic(game) => Some(("objective.relativistic.penalty", game.penalty)),
            _ => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        let Some((key, penalty)) = self.penalty() else { return Ok(()) };
        let fix = match self {
            Self::Wasserstein(_) => "Gulrajani et al. 2017 use 10",
            _ => "Huang et al. 2024 use 0.05 for CIFAR-10 and more for larger images",
        };
        Problem::unless(penalty.is_finite() && penalty >= 0.0, key, penalty, "0 or more", fix)
    }
}
