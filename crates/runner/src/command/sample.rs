//! `duel sample`: draws from a trained generator.

use super::{Ended, Failure, print};
use crate::cli::{Globals, Sample};
use crate::layers;
use crate::npy::Npy;
use crate::picture::grid::{grid, scale_for};
use crate::picture::save;
use crate::run_dir::{last_checkpoint, require};
use crate::session::{Need, Session};
use crate::target::Purpose;
use std::path::Path;
use tape::Device;
use train::{Checkpoint, Data, Probe, Recorded, Weights};

/// Samples that fit on a picture.
const ON_A_PICTURE: usize = 1024;

pub(crate) fn run(globals: &Globals, sample: &Sample) -> Result<Ended, Failure> {
    let run = &sample.run;
    require(run)?;
    let out = sample.out.clone().unwrap_or_else(|| run.join("sample.png"));
    let kind = out.extension().and_then(|e| e.to_str()).unwrap_or("").to_string();
    if sample.n == 0 {
        return Err("--n 0: expected one sample or more".into());
    }
    if kind != "png" && kind != "npy" {
        return Err(
            format!("--out {}: expected a name that ends in .png or .npy", out.display()).into()
        );
    }
    if kind == "png" && sample.n > ON_A_PICTURE {
        let n = sample.n;
        return Err(format!("--n {n}: {ON_A_PICTURE} fit on a picture; use --out FILE.npy").into());
    }
    let layered = layers::load(&run.join("resolved.yaml"), &[])?;
    let checkpoint = last_checkpoint(run)?.ok_or_else(|| {
        format!("{}: no checkpoint yet, so nothing to sample from", run.display())
    })?;
    let checkpoint = Checkpoint::read(&checkpoint)?;
    let session = Session::open(&layered, globals, Need::Extents, Purpose::Look)?;
    let images = matches!(session.spec.data, Data::Images { .. });
    if kind == "png" && !images {
        return Err(
            format!("--out {}: these samples are no images; use .npy", out.display()).into()
        );
    }
    let recorded = session.record();
    let (target, spec) = (out.clone(), &session.spec);
    let options = session.target.options();
    session.on_device(move |device| {
        device.load(&recorded.tape, &options)?;
        checkpoint.restore(spec, &recorded, device)?;
        let seed = sample.seed.unwrap_or(spec.seed);
        let mut draw = Draw::new(&recorded, device, seed, sample.no_ema);
        match (kind.as_str(), images) {
            ("png", _) => draw.picture(sample.n, &target),
            (_, true) => draw.bytes(sample.n, &target),
            (_, false) => draw.numbers(sample.n, &target),
        }
    })?;
    print(out.display());
    Ok(Ended::Done)
}

/// A generator that batches are drawn from.
struct Draw<'a> {
    probe: Probe<'a>,
    weights: Weights,
}

impl<'a> Draw<'a> {
    fn new(recorded: &'a Recorded, device: &'a mut dyn Device, seed: u64, own: bool) -> Self {
        let probe = Probe::new(recorded, device, seed);
        let weights = if own { Weights::Own } else { probe.best() };
        Self { probe, weights }
    }

    /// Calls `take` with `n` samples, batch by batch.
    fn each(
        &mut self,
        n: usize,
        mut take: impl FnMut(&[f32]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let [h, w, c] = self.probe.sample();
        let rows = self.probe.rows();
        for batch in 0..n.div_ceil(rows) {
            let z = self.probe.noise(batch as u64)?;
            let samples = self.probe.generate(self.weights, &z)?;
            take(&samples[..rows.min(n - batch * rows) * h * w * c])?;
        }
        Ok(())
    }

    fn picture(&mut self, n: usize, out: &Path) -> Result<(), Failure> {
        let [h, w, c] = self.probe.sample();
        let range = self.probe.range();
        let mut pixels = Vec::new();
        self.each(n, |samples| {
            pixels.extend(to_bytes(samples, range));
            Ok(())
        })?;
        let columns = (n as f64).sqrt().ceil() as usize;
        let picture = grid(&pixels, n, h, w, c, columns, scale_for(h, w));
        Ok(save(&picture, out)?)
    }

    fn bytes(&mut self, n: usize, out: &Path) -> Result<(), Failure> {
        let [h, w, c] = self.probe.sample();
        let range = self.probe.range();
        let mut file = Npy::<u8>::create(out, &[n, h, w, c])?;
        self.each(n, |samples| Ok(file.append(&to_bytes(samples, range))?))?;
        Ok(file.finish()?)
    }

    fn numbers(&mut self, n: usize, out: &Path) -> Result<(), Failure> {
        let [h, w, c] = self.probe.sample();
        let mut file = Npy::<f32>::create(out, &[n, h, w, c])?;
        self.each(n, |samples| Ok(file.append(samples)?))?;
        Ok(file.finish()?)
    }
}

/// Samples in the range of G's output as pixels.
pub(crate) fn to_bytes(samples: &[f32], [black, white]: [f64; 2]) -> Vec<u8> {
    let pixel = |x: f32| ((f64::from(x) - black) / (white - black) * 255.0).round();
    samples.iter().map(|&x| pixel(x).clamp(0.0, 255.0) as u8).collect()
}
