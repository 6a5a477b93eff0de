//! Where the time of a training step goes: every node of its programs timed, summed by operation and
//! by layer, beside what the machine could reach at best.

mod ceiling;
mod measure;
mod print;
mod product;
mod summed;

use crate::picture::roofline::{Dot, Roofline};
use image::RgbImage;
use std::io;
use tape::Pass;

pub use ceiling::ceiling;
pub use measure::{Timed, Times, measure};
pub(crate) use measure::{noise, refuse_faults};
pub(crate) use print::lined;
pub use summed::{Layer, Operation, Profile, Work};

impl Profile {
    /// The layers below the roof of this machine.
    ///
    /// # Errors
    /// When plotters refuses, which it has no reason to.
    pub fn picture(&self, title: &str) -> io::Result<RgbImage> {
        let dot = |layer: &Layer| Dot {
            label: brief(&layer.weight),
            series: layer.pass as usize,
            hollow: !layer.is_convolution,
            intensity: layer.work.intensity(),
            gflops: layer.work.gflops(),
            share: self.share(&layer.work),
        };
        let dots: Vec<Dot> = self.layers.iter().map(dot).collect();
        let [peak, bandwidth] = [self.ceiling.gflops, self.ceiling.gigabytes];
        let series = [Pass::Fprop, Pass::Dgrad, Pass::Wgrad].map(Pass::name);
        Roofline {
            title,
            peak,
            bandwidth,
            series: &series,
            hollow: "product of matrices",
            dots: &dots,
        }
        .picture()
    }
}

/// `generator.1.weight` as `G.1`.
fn brief(weight: &str) -> String {
    let name = weight.strip_suffix(".weight").unwrap_or(weight);
    match name.split_once('.') {
        Some(("generator", rest)) => format!("G.{rest}"),
        Some(("discriminator", rest)) => format!("D.{rest}"),
        _ => name.to_string(),
    }
}
