//! Our own steps on the GPU.

use crate::experiments::Network;
use crate::stages::Failed;
use cuda::{Cuda, Precision, Settings};
use std::time::Instant;
use tape::{Clock, Device, Dtype, T};
use train::{Experiment, Progress, Recorded, clock};

/// A network with everything that a step needs.
pub struct Engine {
    pub recorded: Recorded,
    pub device: Cuda,
    pub clock: Clock,
    real: Vec<u8>,
}

impl Engine {
    /// Opens the first device as these settings say, and loads a network's programs.
    pub fn new(network: &Network, settings: Settings) -> Result<Self, Failed> {
        let precision = settings.precision;
        let device = Cuda::new(settings)?;
        Self::on(network, device, precision)
    }

    /// The same with a device that is open.
    pub fn on(network: &Network, mut device: Cuda, precision: Precision) -> Result<Self, Failed> {
        let Network { side, channels, batch, .. } = *network;
        let spec: Experiment = network.experiment();
        let recorded = Recorded::new(&spec, [side, side, channels], Dtype::U8, 1);
        device.load(&recorded.tape, &precision.options())?;
        // Beyond Adam's first steps, so that its corrections are 1.
        let late = Progress { discriminator: 10_000, generator: 10_000, ..Progress::default() };
        let clock = clock(&spec, &recorded.tape.scalars(), 0, &late);
        device.run(recorded.init, &clock)?;
        let pixels = (0..batch * side * side * channels)
            .map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        Ok(Self { recorded, device, clock, real: pixels.collect() })
    }

    /// Does steps, each with a batch from the host, and reads the losses: seconds, and the losses of D and
    /// of G since the start, summed.
    pub fn steps(&mut self, n: usize) -> Result<(f64, [f64; 2]), Failed> {
        let begun = Instant::now();
        for _ in 0..n {
            self.device.write(self.recorded.real, &self.real)?;
            self.step()?;
        }
        let [d, g] = ["report.discriminator", "report.generator"].map(|name| self.named(name));
        // Reading waits for all steps.
        let losses = [self.read(d)?[0], self.read(g)?[0]];
        let seconds = begun.elapsed().as_secs_f64();
        match self.read(self.recorded.tape.fault())?[0] {
            0.0 => Ok((seconds, losses)),
            _ => Err("a step was not finite: nothing was updated since".into()),
        }
    }

    /// One step from the batch that is there.
    pub fn step(&mut self) -> Result<(), Failed> {
        self.clock.tick += 1;
        Ok(self.device.run(self.recorded.steps.discriminator, &self.clock)?)
    }

    /// Everything that a checkpoint would hold.
    pub fn state(&mut self) -> Result<Vec<Vec<u8>>, Failed> {
        let saved = self.recorded.tape.saved();
        saved.into_iter().map(|(_, t)| self.bytes(t)).collect()
    }

    fn named(&self, name: &str) -> T {
        let tape = &self.recorded.tape;
        let named = |t: &T| tape.tensor(*t).name.as_deref() == Some(name);
        tape.all().into_iter().find(named).unwrap_or_else(|| panic!("no tensor `{name}`"))
    }

    fn bytes(&mut self, t: T) -> Result<Vec<u8>, Failed> {
        let mut bytes = vec![0; self.recorded.tape.shape(t).len() * 4];
        self.device.read(t, &mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self, t: T) -> Result<Vec<f64>, Failed> {
        let bytes = self.bytes(t)?;
        let each = bytes.chunks_exact(4).map(|b| b.try_into().expect("4 bytes"));
        Ok(each.map(|b| f64::from(f32::from_le_bytes(b))).collect())
    }
}

/// The first device with graphs and no other ranks.
pub fn alone(precision: Precision) -> Settings {
    Settings { ordinal: 0, precision, capture: true, collective: None }
}
