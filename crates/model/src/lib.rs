//! Networks recorded on a tape: Goodfellow's GAN (2014) and DCGAN (2015).
//!
//! A [`Model`] is the part of an experiment that says which networks; [`Model::check`] refuses what
//! cannot be built. [`Gan::new`] then registers the parameters of G and D on a tape, and its methods
//! record the two networks. Recording cannot fail, so the functions read like the figures.

mod dcgan;
mod gan;
mod goodfellow;
mod noise;
mod problem;

pub use dcgan::{ActivationD, ActivationG, Dcgan, Down, NormKind, Squash, Up};
pub use gan::{Gan, Model};
pub use goodfellow::{Goodfellow, MaxoutDiscriminator, Output, ReluGenerator};
pub use noise::Noise;
pub use problem::Problem;
