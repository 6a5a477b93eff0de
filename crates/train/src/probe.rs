//! Questions to the networks as they are: samples for z of the host's choice, and what D says of them.

use crate::recorded::SAMPLES;
use crate::{Recorded, reals};
use tape::{Clock, Device, DeviceError, Program};

/// Which parameters of G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Those that are trained.
    Own,
    /// Their moving average.
    Average,
}

/// The networks on a device, with their parameters as they are. Asking changes nothing of a run.
pub struct Probe<'a> {
    recorded: &'a Recorded,
    device: &'a mut dyn Device,
    seed: u64,
}

impl<'a> Probe<'a> {
    /// Of networks whose state is on the device. Each rank may ask for itself, and gets what one rank
    /// gets.
    pub fn new(recorded: &'a Recorded, device: &'a mut dyn Device, seed: u64) -> Self {
        Self { recorded, device, seed }
    }

    /// Rows of each batch of noise and samples, [`SAMPLES`].
    pub fn rows(&self) -> usize {
        SAMPLES
    }

    /// Coordinates of z.
    pub fn latent(&self) -> usize {
        self.recorded.gan.model.latent()
    }

    /// Height, width and channels of a sample.
    pub fn sample(&self) -> [usize; 3] {
        self.recorded.gan.sample
    }

    /// The numbers of a sample that stand for black and white.
    pub fn range(&self) -> [f64; 2] {
        self.recorded.gan.model.range()
    }

    /// The parameters to show: the average, if there is one.
    pub fn best(&self) -> Weights {
        match self.recorded.sampling.average {
            Some(_) => Weights::Average,
            None => Weights::Own,
        }
    }

    /// Batch number `number` of noise, `[rows, latent]`: a function of the run's seed.
    ///
    /// # Errors
    /// The device's.
    pub fn noise(&mut self, number: u64) -> Result<Vec<f64>, DeviceError> {
        let Recorded { tape, sampling, .. } = self.recorded;
        self.run(sampling.draw, number)?;
        reals::read(tape, self.device, sampling.drawn)
    }

    /// G(z) for z `[rows, latent]`: samples `[rows, h, w, c]`.
    ///
    /// # Errors
    /// The device's; the average of a run without one; z of another length.
    pub fn generate(&mut self, weights: Weights, z: &[f64]) -> Result<Vec<f32>, DeviceError> {
        let Recorded { tape, sampling, .. } = self.recorded;
        let chosen = match weights {
            Weights::Own => Some(sampling.own),
            Weights::Average => sampling.average,
        };
        let (program, samples) = chosen.ok_or_else(|| {
            DeviceError::Misuse(
                "samples of the average of G's parameters: this run keeps none (`ema`)".to_string(),
            )
        })?;
        reals::write(self.device, sampling.z, z.iter().copied())?;
        self.run(program, 0)?;
        let samples = reals::read(tape, self.device, samples)?;
        Ok(samples.into_iter().map(|x| x as f32).collect())
    }

    /// What D says of samples, each a probability or a critic's score: any number of them, in the
    /// range of G's output, one after another.
    ///
    /// # Errors
    /// The device's.
    pub fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, DeviceError> {
        let Recorded { tape, sampling, .. } = self.recorded;
        let (program, judgement) = sampling.judge;
        let size: usize = self.sample().iter().product();
        let mut all = Vec::with_capacity(samples.len() / size);
        for part in samples.chunks(SAMPLES * size) {
            // Rows are judged one by one, so the last part may be filled up with anything.
            let filled = part.iter().copied().chain(std::iter::repeat(0.0));
            let filled = filled.take(SAMPLES * size).map(f64::from);
            reals::write(self.device, sampling.x, filled)?;
            self.run(program, 0)?;
            let judged = reals::read(tape, self.device, judgement)?;
            all.extend(judged[..part.len() / size].iter().map(|&x| x as f32));
        }
        Ok(all)
    }

    fn run(&mut self, program: Program, tick: u64) -> Result<(), DeviceError> {
        let clock = Clock {
            seed: self.seed,
            tick,
            rank: 0,
            scalars: vec![0.0; self.recorded.tape.scalars().len()],
            check: false,
        };
        self.device.run(program, &clock)
    }
}
